"""The configuration that a command runs with."""

import argparse

from oslo_config import cfg

from netloom.cli.terminal import Trouble
from netloom.settings.load import ConfigurationError, read


def configuration(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """What the configuration files say.

    Raises:
        Trouble: one of them is wrong.
    """
    try:
        return read(arguments.config_file)
    except ConfigurationError as error:
        raise Trouble(f"the configuration is wrong: {error}") from error
