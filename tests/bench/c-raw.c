/* c-raw: the least a pty wrapper can be. One extra pty, one poll loop, nothing else.
 *
 *     c-raw CMD ARG…
 *
 * It is the yardstick of the benchmark (beside.rs): what it costs is the price of the hop itself, and
 * every figure of mosaic-agent is given as a ratio to it. No resizing, no signals, no model. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Copies what one read yields. 0: that side has ended. */
static int copy(int from, int to)
{
	static char buffer[16384];
	ssize_t got = read(from, buffer, sizeof buffer);

	if (got < 0 && errno == EINTR)
		return 1;
	if (got <= 0)
		return 0;
	for (ssize_t done = 0; done < got;) {
		ssize_t put = write(to, buffer + done, (size_t)(got - done));
		if (put < 0 && errno != EINTR)
			return 0;
		done += put > 0 ? put : 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct termios outer, raw;
	struct winsize size;
	int master, status;
	pid_t child;

	if (argc < 2 || tcgetattr(0, &outer) != 0 || ioctl(0, TIOCGWINSZ, &size) != 0) {
		fprintf(stderr, "usage, in a terminal: c-raw CMD [ARG...]\n");
		return 2;
	}
	child = forkpty(&master, NULL, &outer, &size);
	if (child < 0) {
		perror("c-raw: forkpty");
		return 1;
	}
	if (child == 0) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	raw = outer;
	cfmakeraw(&raw);
	tcsetattr(0, TCSANOW, &raw);

	struct pollfd ends[2] = {{.fd = 0, .events = POLLIN}, {.fd = master, .events = POLLIN}};
	for (int open = 1; open;) {
		if (poll(ends, 2, -1) < 0)
			continue;
		if (ends[1].revents)
			open = copy(master, 1);
		if (open && ends[0].revents)
			open = copy(0, master);
	}
	close(master);
	tcsetattr(0, TCSANOW, &outer);
	if (waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
