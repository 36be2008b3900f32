# Makes a bare Debian 12 clone ready: system packages, the virtual environment, the Python package.
# For scripts/demo, scripts/test and scripts/bench; sourced with `set -euo pipefail` in force.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\n== %s\n' "$*"; }

# As root, or by sudo.
as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "packages must be installed, which needs root or sudo: $*" >&2
    exit 1
  fi
}

# install_packages LIST...: what the lists name and the system lacks.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "this is not Debian: install what ${*} name(s) yourself; going on" >&2
    return
  fi
  local missing=() package
  while read -r package; do
    if ! dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii'; then
      missing+=("$package")
    fi
  done < <(grep -hv '^#' "$@")
  if [[ ${#missing[@]} -eq 0 ]]; then
    return
  fi
  say "Installing Debian packages: ${missing[*]}"
  as_root apt-get -q update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
    "${missing[@]}"
}

# The system's Python, for which Debian's python3-dev is: another one may come first in PATH.
system_python() {
  if [[ -x /usr/bin/python3 ]]; then echo /usr/bin/python3; else command -v python3; fi
}

# install_python_package REQUIREMENT...: .venv with the package and the requirements in it.
install_python_package() { install_python_package_into .venv "$@"; }

# install_python_package_into VENV REQUIREMENT...: the same elsewhere. The build tools live in it as
# well, so that a build folder can be used again.
install_python_package_into() {
  local venv=$1
  shift
  if [[ ! -x "$venv/bin/pip" ]]; then
    say "Making $venv"
    "$(system_python)" -m venv "$venv"
  fi
  say "Building and installing the Python package (the first time takes some minutes)"
  "$venv/bin/pip" install -q --disable-pip-version-check 'scikit-build-core>=0.10' 'pybind11>=3.0' "$@"
  "$venv/bin/pip" install -q --disable-pip-version-check --no-build-isolation .
}
