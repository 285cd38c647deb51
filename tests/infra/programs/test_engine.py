"""The engine behind the other tests and `make plan`: does it see what matters?"""

import pytest

from infra.plan.engine import SECRET, UNKNOWN, run

HEADER = """
import pulumi
from pulumi_azure_native import managedidentity, resources
group = resources.ResourceGroup("group", resource_group_name="g", location="here")
def identity(name, **more):
    return managedidentity.UserAssignedIdentity(
        name, resource_group_name=group.name, resource_name_=name, location="here", **more)
"""


@pytest.fixture
def program(tmp_path):
    """Runs the given lines as a program."""

    def run_lines(text: str, **more):
        (tmp_path / "__main__.py").write_text(HEADER + text)
        return run(tmp_path, "project", "stack", {"colour": "red"}, **more)

    return run_lines


def test_an_exception_of_the_program_comes_out(program):
    with pytest.raises(ZeroDivisionError):
        program("1 / 0")


def test_an_exception_once_an_output_is_known_comes_out(program):
    later = "pulumi.export('x', identity('one').client_id.apply(lambda id_: 1 / 0))"
    with pytest.raises(ZeroDivisionError):
        program(later)
    assert program(later, preview=True).outputs == {"x": UNKNOWN}


def test_a_resource_made_inside_apply_is_missing_from_a_preview(program):
    text = "identity('one').client_id.apply(lambda id_: identity('two'))"
    known = {r.name for r in program(text).created()}
    preview = {r.name for r in program(text, preview=True).created()}
    assert known - preview == {"two"}


def test_options_parents_and_dependencies_are_recorded(program):
    seen = program("""
component = pulumi.ComponentResource("test:it:Component", "component")
one = identity("one")
two = identity("two", opts=pulumi.ResourceOptions(
    parent=component, depends_on=[one], protect=True, retain_on_delete=True,
    ignore_changes=["tags"], replace_on_changes=["location"], delete_before_replace=True,
    custom_timeouts=pulumi.CustomTimeouts(create="9m", delete="8m")))
""")
    options = seen.one("UserAssignedIdentity", "two").options
    assert options.protect and options.retain_on_delete and options.delete_before_replace
    assert options.ignore_changes == ("tags",) and options.replace_on_changes == ("location",)
    assert options.custom_timeouts == {"create": "9m", "delete": "8m"}
    assert options.parent == seen.one("Component").urn
    group, one = seen.one("ResourceGroup").urn, seen.one("UserAssignedIdentity", "one").urn
    assert options.dependencies == {group, one}
    assert options.property_dependencies == {"resourceGroupName": {group}}


def test_secrets_are_marked_and_not_shown(program):
    seen = program("""
hidden = pulumi.Output.secret("s3cr3t")
identity("one", tags={"note": pulumi.Output.concat("it is ", hidden)})
pulumi.export("open", 1)
pulumi.export("hidden", hidden)
""")
    one = seen.one("UserAssignedIdentity")
    assert one.inputs["tags"] == {"note": SECRET} and one.secrets == {"tags.note"}
    assert seen.outputs == {"open": 1, "hidden": SECRET} and seen.secret_outputs == {"hidden"}
    assert "s3cr3t" not in repr(seen)


def test_runs_know_nothing_of_each_other(program):
    first = program("pulumi.export('colour', pulumi.Config().get('colour')); identity('one')")
    second = program("pulumi.export('shape', pulumi.Config().get('shape', 'none'))")
    assert first.outputs == {"colour": "red"} and second.outputs == {"shape": "none"}
    assert [r.name for r in second.created()] == ["group"]


def test_a_stack_that_does_not_exist_is_an_error(program):
    text = "pulumi.export('x', pulumi.StackReference('there').require_output('key'))"
    assert program(text, references={"there": {"key": 5}}).outputs == {"x": 5}
    with pytest.raises(LookupError, match="no stack there"):
        program(text)


def test_a_type_that_the_stand_in_does_not_know_is_an_error(program):
    with pytest.raises(NotImplementedError, match="dns:Zone"):
        program("""
from pulumi_azure_native import dns
dns.Zone("zone", resource_group_name="g", zone_name="example.com")
""")
