"""Gives the wheel the tag of its program: any Python 3, this platform."""
import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelTag(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + os.environ["UNROLL_PLATFORM"]
