/* From the BIOS to C in 64 bits, with vectors of 512 bits: a disk whose first sector this is.
 * The sectors behind it are the program, linked to run at PROGRAM. */
.set PROGRAM, 0x10000
.set TABLES, 0x1000     /* of pages: three of 4096 bytes */
.set SECTORS_AT_ONCE, 64

.section .boot, "ax"
.code16
.globl start
start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    cld
    movb %dl, drive
    inb $0x92, %al /* the line A20 */
    orb $2, %al
    andb $0xfe, %al
    outb %al, $0x92

load: /* in pieces, each to its own segment */
    movw $packet, %si
    movb drive, %dl
    movb $0x42, %ah
    int $0x13
    jc stop
    addw $(SECTORS_AT_ONCE * 32), packet_segment
    addl $SECTORS_AT_ONCE, packet_sector
    subw $1, pieces
    jnz load

    movw $TABLES, %di /* the first GiB is where it is, in pages of 2 MiB */
    movw $(3 * 4096 / 4), %cx
    xorl %eax, %eax
    rep stosl
    movl $(TABLES + 0x1000 + 3), TABLES
    movl $(TABLES + 0x2000 + 3), TABLES + 0x1000
    movw $(TABLES + 0x2000), %di
    movl $0x83, %eax
fill:
    movl %eax, (%di)
    addl $0x200000, %eax
    addw $8, %di
    cmpw $(TABLES + 0x3000), %di
    jne fill

    movl $0x406a0, %eax /* PAE, PGE, OSFXSR, OSXMMEXCPT, OSXSAVE */
    movl %eax, %cr4
    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx /* EFER: long mode */
    rdmsr
    orl $0x100, %eax
    wrmsr
    lgdt descriptors
    movl %cr0, %eax
    andl $0xfffffffb, %eax /* vectors are not emulated */
    orl $0x80000003, %eax
    movl %eax, %cr0
    ljmpl $8, $wide
stop:
    hlt
    jmp stop

.code64
wide:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7c00, %esp
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $0xe7, %eax /* x87, SSE, AVX, AVX-512 */
    xsetbv
    movl $PROGRAM, %eax
    call *%rax
halt:
    hlt
    jmp halt

.balign 8
table:
    .quad 0
    .quad 0x00209a0000000000 /* code of 64 bits */
    .quad 0x0000920000000000
descriptors:
    .word 23
    .long table
.balign 4
packet:
    .byte 16, 0
    .word SECTORS_AT_ONCE
    .word 0
packet_segment:
    .word PROGRAM / 16
packet_sector:
    .long 1, 0
pieces:
    .word PIECES
drive:
    .byte 0
.org 510
    .word 0xaa55
.section .note.GNU-stack, "", @progbits
