#!/bin/sh
# Print the path of a Python that Parley can run on: $PYTHON if it is set, else the first good one on PATH.
# An activated environment's Python answers with the one it was made from: ours may be about to be made anew.
# Each is run, not only found: version managers put names on PATH that answer "not installed".
set -eu
seen=
for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    found=$("$name" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable), "%d.%d" % sys.version_info[:2], int(sys.version_info >= (3, 11)))' 2>/dev/null) || continue
    path=${found% * *}
    version=${found#"$path "}
    case $version in
        *" 1") echo "$path"; exit 0 ;;
        *) seen="$seen $name is ${version% *};" ;;
    esac
done
echo "parley: Python 3.11 or newer is needed, and ${PYTHON:-no name on PATH} is not one.${seen:+ Found:$seen} Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2
exit 1
