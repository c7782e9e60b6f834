/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings OBJECT nothing|one|several THREADS SECONDS: threads have a BPF program write records into one ring buffer, or each CPU into its
 * own, while one reader empties them. (The program is run by bpf(2), which takes about as long as a probe.) Prints
 * `RECORDS LOST SECONDS CPU_NS_PER_RECORD`.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define RING_BYTES (8u << 20) /* of all rings together */
#define RINGS_MAX 64
#define THREADS_MAX 256

static int program_fd, stopped;

struct worker {
	pthread_t thread;
	unsigned long runs;
	double cpu_seconds;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "rings: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *work(void *argument)
{
	double start = seconds(CLOCK_THREAD_CPUTIME_ID);
	struct worker *worker = argument;

	while (!__atomic_load_n(&stopped, __ATOMIC_RELAXED)) {
		LIBBPF_OPTS(bpf_test_run_opts, options);

		if (bpf_prog_test_run_opts(program_fd, &options))
			die("BPF_PROG_TEST_RUN");
		worker->runs++;
	}
	worker->cpu_seconds = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
	return NULL;
}

static int take(void *unused, void *data, size_t length)
{
	volatile const unsigned char *bytes = data;

	(void)unused;
	return length ? bytes[0] & 0 : 0;
}

/* Whole pages, a power of two, all together about RING_BYTES. */
static unsigned int share(unsigned int rings)
{
	unsigned int bytes = 4096;

	while (bytes * 2 * rings <= RING_BYTES)
		bytes *= 2;
	return bytes;
}

static struct ring_buffer *make_rings(struct bpf_object *object, unsigned int count)
{
	int outer = bpf_object__find_map_fd_by_name(object, "rings");
	struct ring_buffer *reader = NULL;

	for (unsigned int i = 0; i < count && i < RINGS_MAX; i++) {
		int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, share(count), NULL);

		if (ring < 0 || bpf_map_update_elem(outer, &i, &ring, BPF_ANY))
			die("a ring");
		if (!reader)
			reader = ring_buffer__new(ring, take, NULL, NULL);
		else if (ring_buffer__add(reader, ring, take, NULL))
			die("ring_buffer__add");
	}
	return reader;
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);

	if (!object)
		die(path);
	if (bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "first"), RING_BYTES) ||
	    bpf_object__load(object))
		die("load");
	return object;
}

static unsigned long count_lost(struct bpf_object *object)
{
	unsigned long counts[1024] = { 0 }, sum = 0;
	int cpus = libbpf_num_possible_cpus();
	unsigned int zero = 0;

	if (cpus > 1024 || bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, "lost"), &zero, counts))
		die("lost");
	for (int i = 0; i < cpus; i++)
		sum += counts[i];
	return sum;
}

/* The reader looks once a millisecond, as a wake-up by a threshold comes to under load. */
static double measure(struct ring_buffer *reader, struct worker *workers, int count, double run_seconds)
{
	double start = seconds(CLOCK_MONOTONIC), took;

	for (int i = 0; i < count; i++) {
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("a thread");
	}
	do {
		usleep(1000);
		if (ring_buffer__consume(reader) < 0)
			die("reading");
		took = seconds(CLOCK_MONOTONIC) - start;
	} while (took < run_seconds);
	__atomic_store_n(&stopped, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	return took;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	struct ring_buffer *reader;
	struct bpf_object *object;
	unsigned long runs = 0;
	char name[32];
	double took, cpu = 0;
	int count;

	if (argc != 5)
		return 2;
	count = atoi(argv[3]);
	if (count < 1 || count > THREADS_MAX)
		return 2;
	object = load(argv[1]);
	snprintf(name, sizeof(name), "produce_%s", argv[2]);
	program_fd = bpf_program__fd(bpf_object__find_program_by_name(object, name));
	if (strcmp(argv[2], "several") == 0)
		reader = make_rings(object, (unsigned int)libbpf_num_possible_cpus());
	else
		reader = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "first"), take, NULL, NULL);
	if (program_fd < 0 || !reader)
		die(argv[2]);
	took = measure(reader, workers, count, strtod(argv[4], NULL));
	for (int i = 0; i < count; i++) {
		runs += workers[i].runs;
		cpu += workers[i].cpu_seconds;
	}
	printf("%lu %lu %.6f %.2f\n", runs, count_lost(object), took, cpu * 1e9 / (double)(runs ? runs : 1));
	return 0;
}
