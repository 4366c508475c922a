"""The configuration that a command runs with."""

import argparse

from oslo_config import cfg

from netloom.cli.terminal import Trouble
from netloom.settings.files import ConfigurationError
from netloom.settings.load import read


def configuration(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """What the configuration files say.

    Raises:
        Trouble: one of them is wrong.
    """
    try:
        return read(arguments.config_file)
    except ConfigurationError as error:
        raise Trouble(str(error)) from error
