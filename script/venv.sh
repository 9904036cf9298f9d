# shellcheck shell=sh
# Sourced by the other scripts: finds a Python, and makes venvs with it. $root must be the real path of the checkout.
#
# Nothing is written to the checkout, which may be read-only. The venvs of a checkout are in $base:
#   venv        the product, without pip and setuptools, whose .pth file would add 0.5 ms to each start
#   venv-build  pip and setuptools, which install into the other two
#   venv-test   what tests and linters need; the code under test is that of the checkout
# A stamp file has the hash of what a step was made from. It is written when the step is complete.

umask 022 # the gateway's account must be able to read the files, whatever the caller's umask is
unset PYTHONPATH PYTHONHOME

# shellcheck disable=SC2154 # root is the caller's
base=$(printf %s "$root" | sha256sum | cut -c1-8)
if [ "$(id -u)" -eq 0 ]; then
    base=/opt/enc/$base # not below /root, which the gateway's account cannot read
else
    base=${XDG_CACHE_HOME:-$HOME/.cache}/enc/$base
fi

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Sets python and python_id. The system's Python is tried first: only root may be able to run the one on root's PATH.
find_python() {
    for python in /usr/bin/python3 "$(command -v python3)"; do
        python_id=$("$python" -I -c '
import sys
sys.exit(1) if sys.version_info < (3, 11) else print(sys.executable, *sys.version_info)' 2>/dev/null) && return
    done
    return 1
}

# digest NAME...: prints a hash of the names and contents of files in the checkout
digest() {
    (cd "$root" && find "$@" -name __pycache__ -prune -o -type f -print0) | LC_ALL=C sort -z |
        (cd "$root" && xargs -0 sha256sum) | sha256sum | cut -c1-64
}

stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

pip() {
    "$base/venv-build/bin/python" -m pip --disable-pip-version-check --no-input "$@" >"$base/pip.log" 2>&1 || {
        cat "$base/pip.log" >&2
        return 1
    }
}

# requirements build | product | test: prints the requirement lines, from setup.cfg and pyproject.toml
requirements() {
    (cd "$root" && "$python" -I - "$1") <<'EOF'
import configparser, sys, tomllib
setup = configparser.ConfigParser(interpolation=None)
setup.read("setup.cfg")
product = setup["options"]["install_requires"]
match sys.argv[1]:
    case "build":
        with open("pyproject.toml", "rb") as file:
            print(*tomllib.load(file)["build-system"]["requires"], sep="\n")
    case "product":
        print(product)
    case extra:
        print(product, setup["options.extras_require"][extra], sep="\n")
EOF
}

# with_lock COMMAND...: runs it under a lock, so that two callers at once build once. Do not call it in a condition,
# where set -e has no effect.
with_lock() {
    mkdir -p "$base"
    (
        flock 9
        "$@"
    ) 9>"$base/lock"
}

# make_venv NAME KIND: installs the requirements of KIND into $base/NAME. An existing venv, which may be in use, is only
# replaced when Python changed.
make_venv() {
    venv=$base/$1
    wanted=$(printf '%s\n' "$python_id" "$(digest setup.cfg pyproject.toml)" | sha256sum | cut -c1-64)
    if stamped "$venv/.requirements" "$wanted"; then return; fi
    say "building $venv"
    rm -f "$venv/.requirements" "$venv/.sources"
    if ! stamped "$venv/.python" "$python_id"; then
        case $2 in
            build) "$python" -I -m venv --clear "$venv" ;;
            *) "$python" -I -m venv --clear --without-pip "$venv" ;;
        esac
        echo "$python_id" >"$venv/.python"
    fi
    requirements "$2" >"$venv/requirements.txt"
    pip --python "$venv/bin/python" install --compile -r "$venv/requirements.txt"
    echo "$wanted" >"$venv/.requirements"
}
