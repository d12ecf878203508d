# Sourced by serve, test and check: makes .venv ready. Expects to run in the project's root.

# $PYTHON, where it is set. Otherwise a distribution's own Python comes before what else is on the PATH: it is built
# with the compiler's profile (PGO), those of version switchers mostly are not: 1.2 to 1.4 times the CPU for the server.
# By the name of its version, which does not become another one when the system is upgraded.
find_python() {
    local candidate candidates=(python3.13 python3.12 python3.11 python3)
    if [ -n "${PYTHON:-}" ]; then
        candidates=("$PYTHON")
    elif [ "$(uname)" = Linux ] && [ -x /usr/bin/python3 ]; then
        candidates=("$(readlink -f /usr/bin/python3)" "${candidates[@]}")
    fi
    for candidate in "${candidates[@]}"; do
        # Run it: version switchers put names on the PATH that only print an error.
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        echo "$candidate cannot make a .venv (Debian: install python3-venv); looking for another Python." >&2
    done
    echo "Python 3.11 or newer is needed${PYTHON:+ as \$PYTHON}; none of ${candidates[*]} is one." >&2
    return 1
}

# One line that changes when the environment must be made again. The path counts: a moved .venv does not work.
fingerprint() {
    { pwd; cat setup.cfg pyproject.toml; } | cksum
}

installed() { # <stamp>
    [ -x .venv/bin/python ] && [ "$(cat ".venv/stamps/$1" 2>/dev/null)" = "$(fingerprint)" ]
}

install() { # <stamp> <requirement>
    installed "$1" && return # another start may have done it while this one waited for the lock
    local python
    if ! .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$(find_python) || return
        echo "Making .venv …" >&2
        "$python" -m venv --clear .venv || return
    fi
    echo "Installing $2 …" >&2
    rm -rf .venv/stamps/package*
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$2" || return
    # Last, so that what was interrupted is never taken for ready.
    mkdir -p .venv/stamps
    fingerprint >.venv/stamps/package
    fingerprint >".venv/stamps/$1"
}

# One at a time, where the system has flock.
locked() { # <command> …
    (
        if command -v flock >/dev/null; then flock 9; fi
        "$@"
    ) 9>.venv.lock
}

ensure_package() {
    installed package || locked install package .
}

ensure_test_package() {
    installed package-test || locked install package-test '.[test]'
}
