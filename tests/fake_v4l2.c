/* A grabber where there is none: preloaded (LD_PRELOAD), it answers for one device as a
 * V4L2 driver would, with frames of a raw file (YUYV) at their rate. The device's memory
 * is a memfd, so that mapping it works by itself.
 *
 *   FAKE_V4L2_DEVICE  its name, /dev/video-fake
 *   FAKE_V4L2_RAW     the file; at its end it starts again
 *   FAKE_V4L2_SIZE    640x480@30
 *   FAKE_V4L2_FRAMES  after so many it is unplugged for a second; 0: never
 *   FAKE_V4L2_SKIP    every so many frames one is lost; 0: none */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, PAGE = 4096 };

static struct {
    int fd, raw, width, height, rate;
    bool blocks, streams;
    size_t size, room; /* of a frame; with padding to whole pages */
    uint8_t *memory;
    unsigned queue[BUFFERS], queued, buffers;
    int64_t frames, all, skip, most;
    double start_s, gone_s;
} device = {.fd = -1, .raw = -1};

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_ioctl)(int, unsigned long, ...);

static void find(void *function, const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(function, &symbol, sizeof symbol);
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static void find_all(void) {
    find(&real_open, "open64");
    find(&real_close, "close");
    find(&real_ioctl, "ioctl");
    const char *size = getenv("FAKE_V4L2_SIZE");
    sscanf(size ? size : "640x480@30", "%dx%d@%d", &device.width, &device.height, &device.rate);
    device.size = (size_t)device.width * (size_t)device.height * 2;
    device.room = (device.size + PAGE - 1) / PAGE * PAGE;
    device.most = number("FAKE_V4L2_FRAMES");
    device.skip = number("FAKE_V4L2_SKIP");
}

/* Several threads may be the first. */
static void init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_all);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int answer(int error) {
    if (!error) return 0;
    errno = error;
    return -1;
}

static int open_device(int flags) {
    if (device.gone_s && now_s() - device.gone_s < 1) return answer(ENODEV);
    if (device.fd >= 0) return answer(EBUSY);
    device.gone_s = 0;
    device.blocks = !(flags & O_NONBLOCK);
    device.streams = false;
    device.queued = device.buffers = 0;
    device.raw = real_open(getenv("FAKE_V4L2_RAW"), O_RDONLY);
    device.fd = memfd_create("fake v4l2", 0);
    if (device.raw < 0 || ftruncate(device.fd, (off_t)(BUFFERS * device.room)) < 0) return -1;
    device.memory =
        mmap(NULL, BUFFERS * device.room, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, 0);
    device.frames = 0;
    return device.fd;
}

static int open_any(const char *path, int flags, mode_t mode) {
    const char *name = getenv("FAKE_V4L2_DEVICE");
    init();
    if (strcmp(path, name ? name : "/dev/video-fake") == 0) return open_device(flags);
    return real_open(path, flags, mode);
}

/* glibc's two names, with a mode only where one is created. */
static mode_t mode_of(int flags, va_list arguments) {
    bool made = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return made ? va_arg(arguments, mode_t) : 0;
}
int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_any(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_any(path, flags, mode);
}

int close(int fd) {
    init();
    if (fd >= 0 && fd == device.fd) {
        munmap(device.memory, BUFFERS * device.room);
        real_close(device.raw);
        device.fd = -1;
    }
    return real_close(fd);
}

static int describe(struct v4l2_capability *c) {
    memset(c, 0, sizeof *c);
    strcpy((char *)c->driver, "fake");
    strcpy((char *)c->card, "a grabber of the tests");
    c->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int tell_format(struct v4l2_format *f) {
    f->fmt.pix = (struct v4l2_pix_format){.width = (unsigned)device.width,
                                          .height = (unsigned)device.height,
                                          .pixelformat = V4L2_PIX_FMT_YUYV,
                                          .field = V4L2_FIELD_NONE,
                                          .bytesperline = (unsigned)device.width * 2,
                                          .sizeimage = (unsigned)device.size,
                                          .colorspace = V4L2_COLORSPACE_SRGB};
    return 0;
}

static int tell_rate(struct v4l2_streamparm *s) {
    s->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    s->parm.capture.timeperframe = (struct v4l2_fract){1, (unsigned)device.rate};
    return 0;
}

/* The one format, input, size that there is. */
static int list_only(unsigned index, char *name, const char *is) {
    if (index) return answer(EINVAL);
    if (name) strcpy(name, is);
    return 0;
}

static int make_buffers(struct v4l2_requestbuffers *b) {
    if (b->memory != V4L2_MEMORY_MMAP) return answer(EINVAL);
    if (b->count > BUFFERS) b->count = BUFFERS;
    device.buffers = b->count;
    device.queued = 0;
    return 0;
}

static int tell_buffer(struct v4l2_buffer *b) {
    if (b->index >= device.buffers) return answer(EINVAL);
    b->length = (unsigned)device.size;
    b->m.offset = (unsigned)(b->index * device.room);
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return 0;
}

static bool read_frame(uint8_t *to) {
    for (size_t got = 0; got < device.size;) {
        ssize_t n = read(device.raw, to + got, device.size - got);
        if (n < 0 || (n == 0 && lseek(device.raw, 0, SEEK_SET) < 0)) return false;
        got += (size_t)n;
    }
    return true;
}

static int take_buffer(struct v4l2_buffer *b) {
    if (device.most && device.frames >= device.most) {
        if (!device.gone_s) device.gone_s = now_s();
        return answer(ENODEV);
    }
    if (!device.streams || !device.queued) return answer(EAGAIN);
    if (device.skip && device.frames % device.skip == device.skip - 1) {
        device.frames++; /* this one is lost */
        if (!read_frame(device.memory + device.queue[0] * device.room)) return answer(EIO);
    }
    double due = device.start_s + (double)device.frames / device.rate, rest = due - now_s();
    if (rest > 0 && !device.blocks) return answer(EAGAIN);
    if (rest > 0) usleep((useconds_t)(rest * 1e6));
    unsigned index = device.queue[0];
    memmove(device.queue, device.queue + 1, --device.queued * sizeof *device.queue);
    if (!read_frame(device.memory + index * device.room)) return answer(EIO);
    b->index = index;
    b->bytesused = (unsigned)device.size;
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->field = V4L2_FIELD_NONE;
    b->sequence = (unsigned)device.frames++;
    b->timestamp.tv_sec = (time_t)due;
    b->timestamp.tv_usec = (suseconds_t)((due - (double)(time_t)due) * 1e6);
    return 0;
}

static int give_buffer(const struct v4l2_buffer *b) {
    if (b->index >= device.buffers || device.queued == BUFFERS) return answer(EINVAL);
    device.queue[device.queued++] = b->index;
    return 0;
}

static int start(void) {
    device.streams = true;
    device.start_s = now_s();
    return 0;
}

static int ask(unsigned request, void *p) {
    struct v4l2_fmtdesc *format = p;
    struct v4l2_input *input = p;
    switch (request) {
    case VIDIOC_QUERYCAP: return describe(p);
    case VIDIOC_ENUMINPUT: return list_only(input->index, (char *)input->name, "HDMI");
    case VIDIOC_G_INPUT: return *(int *)p = 0;
    case VIDIOC_S_INPUT: return answer(*(int *)p ? EINVAL : 0);
    case VIDIOC_ENUM_FMT:
        format->pixelformat = V4L2_PIX_FMT_YUYV;
        return list_only(format->index, (char *)format->description, "YUYV");
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: return tell_format(p);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: return tell_rate(p);
    case VIDIOC_REQBUFS: return make_buffers(p);
    case VIDIOC_QUERYBUF: return tell_buffer(p);
    case VIDIOC_QBUF: return give_buffer(p);
    case VIDIOC_DQBUF: return take_buffer(p);
    case VIDIOC_STREAMON: return start();
    case VIDIOC_STREAMOFF: device.streams = false; return 0;
    default: return answer(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *p = va_arg(arguments, void *);
    va_end(arguments);
    init();
    return fd >= 0 && fd == device.fd ? ask((unsigned)request, p) : real_ioctl(fd, request, p);
}
