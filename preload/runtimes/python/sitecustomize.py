# SPDX-License-Identifier: Apache-2.0
"""The door of Remora's carrier for Python: `site` runs it while the interpreter starts, because the
shim put this folder in front of PYTHONPATH (preload/carriers.cc).

Starts the carrier, takes the folder out of PYTHONPATH and sys.path again, and hands over to the
sitecustomize that would have run without us. Written so that every Python 3 can read it.
"""
import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))


def _take_out_variable():
    # What the shim wrote: the folder alone where there was no PYTHONPATH, with a slash where it was
    # empty, else with a colon and the user's own.
    value = os.environ.get("PYTHONPATH", "")
    if value == _folder:
        del os.environ["PYTHONPATH"]
    elif value == _folder + "/":
        os.environ["PYTHONPATH"] = ""
    elif value.startswith(_folder + ":"):
        os.environ["PYTHONPATH"] = value[len(_folder) + 1:]


try:
    _take_out_variable()
    if sys.version_info >= (3, 9) and sys.implementation.name == "cpython":
        import _remora
        _remora.start()
except Exception:  # pylint: disable=broad-except
    pass  # a carrier that fails leaves the program alone
finally:
    sys.path[:] = [_place for _place in sys.path if os.path.abspath(_place) != _folder]
    sys.path_importer_cache.pop(_folder, None)

# Without another one this raises what the program's `site` expects then: ModuleNotFoundError.
del sys.modules["sitecustomize"]
import sitecustomize  # noqa: E402,F401  pylint: disable=wrong-import-position,import-self
