"""From DevStack's ``localrc`` or ``local.conf`` to a configuration of ours.

``reading.py`` reads both forms, ``shell.py`` what variables hold, ``services.py`` and ``reasons.py`` say what words
of DevStack mean and why some mean nothing here, ``conversion.py`` puts it together.
"""
