/* A serial line, raw. */
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "tracker_internal.h"

bool serial_rate(int fd, bool fast, es_error *err) {
    struct termios line;
    speed_t rate = fast ? B115200 : B9600;
    if (tcgetattr(fd, &line) != 0) return es_fail_errno(err, "a serial line");
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CSTOPB | PARENB | CRTSCTS);
    line.c_cflag |= CLOCAL | CREAD | CS8;
    cfsetispeed(&line, rate);
    cfsetospeed(&line, rate);
    return tcsetattr(fd, TCSADRAIN, &line) == 0 || es_fail_errno(err, "the rate of a serial line");
}

int serial_open(const char *device, es_error *err) {
    int fd = open(device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        es_fail_errno(err, "%s", device);
        return -1;
    }
    if (serial_rate(fd, false, err)) return fd;
    es_prefix(err, "%s", device);
    close(fd);
    return -1;
}
