# SPDX-License-Identifier: Apache-2.0
"""Each scenario gets a scene of its own, and whatever it started ends with it."""
import os

from artefacts import Artefacts
from scene import Scene


def before_all(context):
    context.build = os.path.abspath(os.environ.get("VRAMTRACE_BUILD", "build"))
    context.artefacts = Artefacts(context.build)


def before_scenario(context, scenario):
    context.scene = Scene(context.build)


def after_step(context, step):
    if step.status == "failed":
        print(context.scene.evidence())


def after_scenario(context, scenario):
    try:
        context.artefacts.take(context.scene, scenario)
    finally:
        context.scene.close()
