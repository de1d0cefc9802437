/* SPDX-License-Identifier: GPL-2.0-only */
/* One site: what makes it the same, and the stack that is shown of it. */
#include "golang/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SITES 65536
#define OTHERS_ID 1
#define EMPTY_NS  (600 * NSEC_PER_SEC) /* so long a site without goroutines is kept */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return hash;
}

static uint64_t address_of(const struct frame *frame)
{
	return frame ? frame->address : 0;
}

/* Is it about to run, wherever it stands just now? */
static bool is_running(const struct goroutine *goroutine)
{
	return !goroutine_waits(goroutine) && goroutine->state != GOROUTINE_SYSCALL;
}

/* Its stack as far as it makes a site. */
static const struct stack *stack_of(const struct goroutine *goroutine)
{
	return is_running(goroutine) ? NULL : goroutine->stack;
}

static const char *reason_of(const struct goroutine *goroutine)
{
	return stack_of(goroutine) ? goroutine->reason : "running";
}

static uint64_t id_of(const struct goroutine *goroutine)
{
	const struct stack *stack = stack_of(goroutine);
	uint64_t hash = mix(0x676f726f7574696eULL, stack ? stack->id : 0);

	hash = mix(mix(hash, address_of(goroutine->start)), address_of(goroutine->creator));
	hash = mix(mix_text(hash, reason_of(goroutine)), 0);
	return hash > OTHERS_ID ? hash : ~hash;
}

/* The go statement as its own frame. */
static struct frame creator_frame(struct strings *strings, const struct frame *creator)
{
	struct frame frame = *creator;
	struct buf text __cleanup_buf = { 0 };

	buf_printf(&text, CREATED_BY "%s", creator->function ? creator->function : "?");
	frame.function = strings_intern(strings, text.data);
	return frame;
}

/* Copies what is shown: the stack, or at least where it began, and the go statement. */
static int copy_stack(struct goroutine_watch *watch, const struct goroutine *goroutine,
		      struct stack *copy)
{
	const struct stack *stack = stack_of(goroutine);
	size_t nr = stack ? stack->nr_frames : 0;

	copy->frames = calloc(nr + 2, sizeof(copy->frames[0]));
	if (!copy->frames)
		return -1;
	if (nr)
		memcpy(copy->frames, stack->frames, nr * sizeof(copy->frames[0]));
	else if (goroutine->start)
		copy->frames[nr++] = *goroutine->start;
	if (goroutine->creator && goroutine->id != 1) /* the runtime itself began that one */
		copy->frames[nr++] = creator_frame(watch->strings, goroutine->creator);
	copy->nr_frames = nr;
	copy->flags = stack ? stack->flags : 0;
	return 0;
}

int site_copy_running(const struct goroutine_site *site, const struct stack *stack,
		      struct stack *copy)
{
	const struct frame *last =
		site->stack.nr_frames ? &site->stack.frames[site->stack.nr_frames - 1] : NULL;
	bool has_creator =
		last && last->function && !strncmp(last->function, CREATED_BY, strlen(CREATED_BY));
	struct frame *frames = calloc(stack->nr_frames + 1, sizeof(*frames));

	if (!frames)
		return -ENOMEM;
	memcpy(frames, stack->frames, stack->nr_frames * sizeof(*frames));
	if (has_creator)
		frames[stack->nr_frames] = *last;
	free(copy->frames);
	*copy = (struct stack){
		.id = site->id,
		.frames = frames,
		.nr_frames = stack->nr_frames + has_creator,
	};
	return 0;
}

static void site_free(struct goroutine_site *site)
{
	free(site->stack.frames);
	free(site->running.frames);
	free(site);
}

static struct goroutine_site **bucket_of(struct goroutine_watch *watch, uint64_t id)
{
	return &watch->buckets[id & (NR_SITE_BUCKETS - 1)];
}

static int site_insert(struct goroutine_watch *watch, struct goroutine_site *site)
{
	int err = vec_reserve((void **)&watch->sites, &watch->capacity, watch->nr_sites + 1,
			      sizeof(*watch->sites));

	if (err)
		return err;
	watch->sites[watch->nr_sites++] = site;
	site->next = *bucket_of(watch, site->id);
	*bucket_of(watch, site->id) = site;
	return 0;
}

static struct goroutine_site *site_new(struct goroutine_watch *watch,
				       const struct goroutine *goroutine, uint64_t id)
{
	struct goroutine_site *site = calloc(1, sizeof(*site));

	if (!site)
		return NULL;
	site->id = site->stack.id = id;
	site->reason = goroutine ? reason_of(goroutine) : "too many sites";
	if ((!goroutine || !copy_stack(watch, goroutine, &site->stack)) &&
	    !site_insert(watch, site))
		return site;
	site_free(site);
	return NULL;
}

struct goroutine_site *site_find(const struct goroutine_watch *watch, uint64_t id)
{
	struct goroutine_site *site = watch->buckets[id & (NR_SITE_BUCKETS - 1)];

	while (site && site->id != id)
		site = site->next;
	return site;
}

struct goroutine_site *site_of(struct goroutine_watch *watch, const struct goroutine *goroutine)
{
	uint64_t id = id_of(goroutine);
	struct goroutine_site *site = site_find(watch, id);

	if (site)
		return site;
	if (watch->nr_sites < MAX_SITES)
		return site_new(watch, goroutine, id);
	site = site_find(watch, OTHERS_ID);
	return site ? site : site_new(watch, NULL, OTHERS_ID);
}

void sites_forget(struct goroutine_watch *watch, uint64_t now_ns)
{
	bool all = watch->nr_sites > MAX_SITES / 2;
	size_t nr = watch->nr_sites;

	watch->nr_sites = 0;
	memset(watch->buckets, 0, sizeof(watch->buckets));
	for (size_t i = 0; i < nr; i++) {
		struct goroutine_site *site = watch->sites[i];

		if (site->live || (!all && now_ns - site->emptied_ns < EMPTY_NS))
			site_insert(watch, site); /* there is room: it was there */
		else
			site_free(site);
	}
}

void sites_free(struct goroutine_watch *watch)
{
	for (size_t i = 0; i < watch->nr_sites; i++)
		site_free(watch->sites[i]);
	free(watch->sites);
}
