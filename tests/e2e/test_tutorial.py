"""The tutorial does what it says, in a cloud of its own: it changes the default security group."""

from tests.e2e import tutorial
from tests.e2e.cloud import Cloud
from tests.sandbox import ROOT, sandbox


def test_first_cloud(tmp_path):
    with sandbox() as machine:
        cloud = Cloud(machine)

        def shell(script: str) -> tuple[int, str]:
            text = f"cd {tmp_path}\n{script}"
            done = machine.run(
                "timeout", "100", "bash", "-s", env=cloud.environment("demo"), text=text, check=False, timeout=110
            )
            return done.returncode, done.stdout

        tutorial.run(ROOT / "docs/tutorials/first-cloud.md", shell)
        cloud.down()
