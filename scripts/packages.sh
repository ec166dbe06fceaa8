# Which Debian 12 packages are needed for what, and installing those that are missing.  Sourced by ./run.

packages_build="gcc libc6-dev meson ninja-build pkg-config python3 libglib2.0-dev libcurl4-gnutls-dev
libmicrohttpd-dev libxml2-dev libjansson-dev libyaml-dev libsqlite3-dev libnbd-dev libxxhash-dev
libgnutls28-dev libvirt-dev libdeflate-dev libzstd-dev"

# The demo's guest is made of a kernel and busybox, and runs in QEMU.
packages_demo="$packages_build qemu-utils qemu-system-x86 linux-image-cloud-amd64 busybox-static cpio e2fsprogs
fdisk kmod xz-utils grub-pc-bin grub-common"

packages_test="$packages_demo nbdkit libnbd-bin golang-go golang-github-vmware-govmomi-dev python3-pyvmomi
libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients clang clang-format clang-14 libclang-rt-14-dev
ovmf openssl git procps iproute2 universal-ctags mount util-linux python3-libnbd libxml2-utils"

missing_packages() { # NAMES...
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

# Their files are there, but their scripts did not all succeed: no reason to stop.
packages_not_unpacked() { # NAMES...
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qxE 'installed|unpacked|half-configured|triggers-(awaited|pending)' || echo "$package"
    done
}

setup_packages() { # build|demo|test
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "./run: this is no Debian; install the equivalents of: $(eval echo "\$packages_$1")" >&2
        return 0
    fi
    # shellcheck disable=SC2046
    missing=$(missing_packages $(eval echo "\$packages_$1") | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    echo "installing: $missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "./run: need root or sudo to install: $missing" >&2; exit 1; }
        as_root=sudo
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086
    if ! $as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q; apt-get install -y -q \
        --no-install-recommends -o DPkg::Lock::Timeout=600 -o DPkg::Options::=--force-confold \
        -o Acquire::Retries=3 $missing" </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        # shellcheck disable=SC2086
        missing=$(packages_not_unpacked $missing | tr '\n' ' ')
        [ -z "$missing" ] || { echo "./run: could not install: $missing" >&2; exit 1; }
        echo "./run: some packages are there but not configured (a daemon that cannot start?): trying without" >&2
        return 0
    fi
    rm -f "$log"
}
