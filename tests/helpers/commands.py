"""The command line in this process."""

from typer.testing import CliRunner

from vecprop.cli.app import app

try:
    RUNNER = CliRunner(mix_stderr=False)  # older versions mix the two streams unless told not to
except TypeError:
    RUNNER = CliRunner()


def vecprop(*words, code=0):
    """Run a command in this process and return (stdout, stderr) as they are; the exit code has to be `code`."""
    result = RUNNER.invoke(app, [str(word) for word in words], prog_name="vecprop")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, f"exit code {result.exit_code}: {result.output}"
    return result.stdout, result.stderr


def refused(*words, code=2):
    """Run a command that is to end with one message on stderr and nothing on stdout, and return the message."""
    out, err = vecprop(*words, code=code)
    assert out == "" and err.startswith("Error: ") and err.count("\n") == 1, (out, err)
    return err.removeprefix("Error: ").strip()
