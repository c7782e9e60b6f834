# SPDX-License-Identifier: Apache-2.0
"""Steps that set programs into namespaces of their own."""
import os

from behave import given, when, then

from product import soon_stderr
from scene import wait_until

# The libraries lie on a file system that is mounted in the container alone.
CONTAINER = """mount -t tmpfs none "$0" && cp "$1/libcuda.so.1" "$1/libcudart.so.13" "$0" && LD_LIBRARY_PATH="$0" exec "$2" 64M"""
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


@given("the programs have a PID namespace of their own")
def own_namespace(context):
    context.own_namespace = True


@given("a running program in a container of its own")
@when("a container with a running program of its own comes")
def container(context):
    scene = context.scene
    inside = os.path.join(scene.folder, "inside")
    os.mkdir(inside)
    own_namespace(context)
    target = scene.start([*UNSHARE, "sh", "-c", CONTAINER, inside, os.path.join(scene.build, "sim"), scene.program("serve")])
    wait_until(lambda: "ready\n" in target.out() or not target.running(), "serve says ready")
    assert target.running(), target.err()
    assert not os.listdir(inside), "its libraries are to be seen outside: nothing was tested"
    target.answered = 1


@then("soon a library of the container is probed")
def probed(context):
    soon_stderr(context, "mapped .*inside/libcuda.so.1.* unseen")
