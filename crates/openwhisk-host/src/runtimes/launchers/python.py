# Starts a Python action and hands it one call after the other.
#
# Lines of JSON over descriptor 3, which is a socket: `{"init": …}` once, then one line per
# call; one line of answer to each. `{"ready": …}` before it asks whether Python is up. A line that begins with `!` says that the action failed in
# a way for which OpenWhisk has no result of its own ("action developer error"). What the
# action logs is written before the answer is, so the host finds it complete.
import importlib.util
import json
import linecache
import os
import sys
import traceback
import types

requests = open(3, "rb", closefd=False)
answers = open(3, "wb", closefd=False)


def from_text(code, name):
    module = types.ModuleType("main__")
    module.__file__ = "main__.py"
    sys.modules["main__"] = module
    # So that a traceback can show the lines.
    linecache.cache["main__.py"] = (len(code), None, code.splitlines(True), "main__.py")
    exec(compile(code, "main__.py", "exec"), module.__dict__)
    return getattr(module, name)


def activate(virtualenv):
    if not os.path.isdir(virtualenv):
        return
    script = os.path.join(virtualenv, "bin", "activate_this.py")
    if not os.path.exists(script):
        raise ImportError("Invalid virtualenv. Zip file does not include 'activate_this.py'.")
    with open(script) as file:
        exec(compile(file.read(), script, "exec"), {"__file__": script})


def from_archive(folder, main):
    os.chdir(folder)
    activate(os.path.join(folder, "virtualenv"))
    sys.path.insert(0, folder)
    file, _, name = main.rpartition(".")
    path = os.path.join(folder, (file or "__main__") + ".py")
    spec = importlib.util.spec_from_file_location(file or "main__", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def init(request):
    os.environ.update(request["env"])
    if request.get("dir"):
        return from_archive(request["dir"], request["main"])
    return from_text(request["code"], request["main"])


def run(main, request):
    value = request.pop("value")
    for key, text in request.items():
        os.environ["__OW_" + key.upper()] = text
    try:
        return main(value)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        return {"error": str(error)}


def answer(value, mark=b""):
    line = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    sys.stdout.flush()
    sys.stderr.flush()
    answers.write(mark + line + b"\n")
    answers.flush()


def fault(text):
    answer({"error": text}, b"!")


def serve():
    main = None
    for line in requests:
        request = json.loads(line)
        try:
            if "ready" in request:
                answer({"ok": True})
            elif "init" not in request:
                if main is None:
                    fault("no action defined yet")
                else:
                    answer(run(main, request))
            elif main is not None:
                fault("Cannot initialize the action more than once.")
            else:
                main = init(request["init"])
                answer({"ok": True})
        except MemoryError:
            fault("The action exhausted its memory and was aborted.")
        except Exception:
            # What can't be an answer ends the process, as it does in OpenWhisk.
            traceback.print_exc()
            if main is not None:
                sys.exit(1)
            fault("Cannot start action. Check logs for details.")


serve()
