"""From the configuration of a running program to settings."""

import pulumi
import pytest
from azure_settings import CLUSTER, FOUNDATION

from infra.config import pulumi_config
from infra.config.problems import SettingsError


class Nothing(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return args.name, args.inputs

    def call(self, args):
        return {}


@pytest.fixture
def running():
    """Act as a program with this configuration, by project and stack."""

    def act(project: str, given: dict[str, str], secret: tuple[str, ...] = ()) -> None:
        pulumi.runtime.set_mocks(Nothing(), project=project, stack="team", preview=False)
        config = {f"{project}:{key}": value for key, value in given.items()}
        pulumi.runtime.set_all_config(
            {**config, "azure-native:location": "northeurope"},
            [f"{project}:{key}" for key in secret],
        )

    yield act
    pulumi.runtime.set_all_config({}, [])


def test_the_programs_configuration_becomes_settings(running):
    running("savanna", {**CLUSTER, "adminRanges": '["10.9.0.0/24"]', "bastion": "false"})
    settings = pulumi_config.cluster_settings()
    assert (settings.stack, settings.network.bastion) == ("team", False)
    assert settings.foundation.endswith("/savanna-foundation/team")
    running("savanna-foundation", {**FOUNDATION, "budgetEmails": '["a@example.com"]'})
    assert pulumi_config.foundation_settings().budget_emails == ("a@example.com",)


def test_a_key_that_does_not_exist_is_noticed(running):
    running("savanna", {**CLUSTER, "hedSize": "x"})
    with pytest.raises(SettingsError, match="did you mean headSize"):
        pulumi_config.cluster_settings()


def test_a_secret_is_refused_and_never_shown(running):
    running("savanna", {**CLUSTER, "password": "hunter2"}, secret=("password",))
    with pytest.raises(SettingsError) as caught:
        pulumi_config.cluster_settings()
    assert "password '(secret)'" in str(caught.value)
    assert "hunter2" not in str(caught.value)
