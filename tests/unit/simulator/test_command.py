from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from conductor.simulator import command


def test_the_simulators_are_registered_by_name():
    assert {"auth0": command.auth0} == command.SIMULATORS
    assert isinstance(command.auth0, click.Command)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--rate-limit", "fast"], "'fast' is not a rate limit"),
        (["--plan", "gold"], "'gold' is not one of"),
        (["--shape", "round"], "'round' is not one of"),
        (["--client-secret-file", "/nowhere"], "does not exist"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_served(arguments, text):
    result = CliRunner().invoke(command.auth0, arguments)
    assert result.exit_code == 2
    assert text in result.output


def test_a_port_that_cannot_be_had_is_told():
    result = CliRunner().invoke(command.auth0, ["--bind", "192.0.2.1", "--history", "0"])
    assert result.exit_code == 1
    assert "Cannot listen on 192.0.2.1 port 0" in result.output


def test_the_first_tenant_is_at_localhost_and_the_second_elsewhere():
    first, second = (command._addresses(name, number) for number, name in enumerate(("acme", "globex")))
    assert first[0] == "localhost"
    assert "127.0.0.1" in first[1]
    assert {second[0], *second[1]} == {"globex.localhost", "127.0.0.2"}
