/* The floor of a statement over two shards: it is sent to both, and answered when both have answered, with what the
 * first has said. No merge, no errors, one client at a time.   cc -O2 floor_scatter.c -o floor_scatter
 * usage: floor_scatter LISTEN_PORT SERVER_PORT USER DATABASE DATABASE */
#include "floor.h"
#include <sys/epoll.h>

static int ep, answered;
static Conn *client, *shards[2];
static unsigned char buf[65536], answers[2][65536];
static int sizes[2];

static void watch(Conn *c, int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static void on_shard(int i) {
    int n = recv(shards[i]->fd, answers[i] + sizes[i], sizeof answers[i] - sizes[i], 0);
    if (n <= 0) exit(1);
    sizes[i] += n;
    if (!ends_idle(answers[i], sizes[i])) return;
    if (!shards[i]->ready) { shards[i]->ready = 1; sizes[i] = 0; return; }
    if (++answered == 2) send(client->fd, answers[0], sizes[0], MSG_NOSIGNAL);
}

static void on_client(Conn *c) {
    int n = recv(c->fd, buf, sizeof buf, 0);
    if (n <= 0 || has_terminate(buf, c->ready ? n : 0)) { close(c->fd); return; }
    if (!c->ready) {
        if (is_ssl_request(buf)) { send(c->fd, "N", 1, 0); return; }
        c->ready = 1; send(c->fd, HELLO, sizeof HELLO - 1, 0); return;
    }
    client = c;
    answered = sizes[0] = sizes[1] = 0;
    for (int i = 0; i < 2; i++) send(shards[i]->fd, buf, n, 0);
}

int main(int argc, char **argv) {
    if (argc < 6) { fprintf(stderr, "usage: floor_scatter LISTEN_PORT SERVER_PORT USER DATABASE DATABASE\n"); return 2; }
    struct epoll_event ev[128];
    int lfd, one = 1;
    ep = epoll_create1(0);
    for (int i = 0; i < 2; i++) { shards[i] = open_server(atoi(argv[2]), argv[3], argv[4 + i]); watch(shards[i], shards[i]->fd); }
    watch(NULL, lfd = open_listener(atoi(argv[1])));
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        for (int i = 0; i < n; i++) {
            Conn *c = ev[i].data.ptr;
            if (!c) { c = calloc(1, sizeof *c); c->fd = accept(lfd, NULL, NULL); setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); watch(c, c->fd); }
            else if (c->is_server) on_shard(c == shards[1]);
            else on_client(c);
        }
    }
}
