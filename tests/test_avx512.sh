#!/bin/sh
# The AVX-512 kernels against the plain ones, on an emulated processor (Bochs): few machines
# have such vectors.
set -eu
sources=$(cd "$(dirname "$0")/.." && pwd)
leave_out() {
    echo "left out: $1"
    exit 77
}
[ "$(uname -m)" = x86_64 ] || leave_out "the emulated processor is an x86"
command -v bochs >/dev/null || leave_out "bochs is not installed"
bios=/usr/share/bochs/BIOS-bochs-latest
vgabios=/usr/share/vgabios/vgabios.bin
[ -f $bios ] || leave_out "bochsbios is not installed"
[ -f $vgabios ] || leave_out "vgabios is not installed"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

compile() { # source, options...
    source=$1
    shift
    gcc -std=c17 -O3 -fno-pic -mno-red-zone -fno-stack-protector -fcf-protection=none \
        -fno-asynchronous-unwind-tables -ffunction-sections -Wall -Wextra \
        -I"$sources/include" -I"$sources/src/bone" "$@" -c "$sources/$source"
}
compile src/bone/network_plain.c -mfma -fno-tree-vectorize
compile src/bone/network_avx512.c
compile tests/emulated/avx512.c -ffreestanding
gcc -c -DPIECES=4 "$sources/tests/emulated/boot.S"
ld -n -z noexecstack --no-warn-rwx-segments -T "$sources/tests/emulated/link.ld" -o program.elf boot.o avx512.o network_plain.o network_avx512.o
objcopy -O binary -j .boot program.elf boot.bin
objcopy -O binary -j .text program.elf text.bin
[ "$(stat -c %s text.bin)" -le 131072 ] || {
    echo "the program is larger than the four pieces of 32 KiB that are read"
    exit 1
}
cat boot.bin text.bin >disk.img
truncate -s 4128768 disk.img # 8 cylinders of 16 heads of 63 sectors

cat >bochsrc <<END
cpu: model=corei7_skylake_x, ips=50000000
megs: 32
romimage: file=$bios
vgaromimage: file=$vgabios
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=disk.img, mode=flat, cylinders=8, heads=16, spt=63
boot: disk
com1: enabled=1, mode=file, dev=told
display_library: term
log: bochs.log
panic: action=fatal
END
echo c >go # the debugger that it begins with
TERM=vt100 timeout 300 bochs -q -f bochsrc -rc go </dev/null >screen 2>&1 || true
cat told 2>/dev/null || {
    tail -n 5 bochs.log
    exit 1
}
grep -q '^network: [0-9][0-9][0-9][0-9][0-9]* values, 0 differ$' told
