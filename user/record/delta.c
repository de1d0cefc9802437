/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A snapshot as the difference to the one before.
 *
 *   payload = numbers step... STEP_END
 *   step    = unchanged sites to pass over, STEP_*, what it needs
 *
 * The sites are sorted, so both sides walk through the old ones and the new ones together. Most sites
 * of a watch do nothing between two polls: they are passed over, and cost nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

enum step { STEP_END, STEP_CHANGE, STEP_ADD, STEP_REMOVE, STEP_MAX };

/* What of a site has changed, in the order in which it is written. */
#define CHANGED_OPENED  0x01
#define CHANGED_CLOSED  0x02
#define CHANGED_EXCESS  0x04 /* by how much live is not opened - closed */
#define CHANGED_OLDEST  0x08
#define CHANGED_COHORTS 0x10
#define CHANGED_REST    0x20
#define CHANGED_LONGEST 0x40
#define CHANGED_ALL     0x7f

#define REST_ESTIMATED 0x1
#define REST_COHORTS   0x2
#define REST_ENDED     0x4
#define REST_ALL       0x7

#define KIND_MASK ((1U << LB_KIND_MAX) - 1)

/* Writes to @out or reads from @in: what is told is listed once, for both. */
struct coder {
	struct buf *out;   /* NULL: reads */
	struct cursor *in; /* NULL: writes */
};

void site_table_done(struct site_table *table)
{
	free(table->states);
	*table = (struct site_table){ 0 };
}

static int compare_state(const void *key, const void *state)
{
	return site_key_compare(key, &((const struct site_state *)state)->site.key);
}

struct site_state *site_table_find(const struct site_table *table, const struct lb_site_key *key)
{
	return table->nr_states ? bsearch(key, table->states, table->nr_states,
					  sizeof(*table->states), compare_state)
				: NULL;
}

/* Moves the survivors of the old generations to those of the new ones in which they were born: what
 * has not changed is then what is expected. */
static void move_cohorts(uint32_t cohorts[LB_MAX_EPOCHS], const struct epochs *old,
			 const struct epochs *new)
{
	uint32_t moved[LB_MAX_EPOCHS] = { 0 };

	for (unsigned int i = 0; i < old->nr; i++) {
		uint64_t middle_ns = old->start_ns + i * old->length_ns + old->length_ns / 2;
		uint64_t at = new->length_ns ? (middle_ns - new->start_ns) / new->length_ns : 0;

		if (at < LB_MAX_EPOCHS)
			moved[at] += cohorts[i];
	}
	memcpy(cohorts, moved, sizeof(moved));
}

/* Makes @epochs those of the cohorts. nr 0: nothing was counted, and the old ones stay. */
static void move_epochs(struct site_table *table, const struct epochs *epochs)
{
	if (!epochs->nr ||
	    (epochs->start_ns == table->epochs.start_ns &&
	     epochs->length_ns == table->epochs.length_ns && epochs->nr == table->epochs.nr))
		return;
	for (size_t i = 0; i < table->nr_states; i++)
		move_cohorts(table->states[i].cohorts, &table->epochs, epochs);
	table->epochs = *epochs;
}

static void code_change(struct coder *coder, uint64_t before, uint64_t *value)
{
	if (coder->out)
		put_change(coder->out, before, *value);
	else
		*value = get_changed(coder->in, before);
}

/* A number that is at most @most. */
static uint64_t code_bounded(struct coder *coder, uint64_t value, uint64_t most)
{
	if (!coder->out)
		return get_bounded(coder->in, most);
	put_number(coder->out, value);
	return value;
}

static void code_counters(struct coder *coder, const uint64_t *before, uint64_t *values, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		code_change(coder, before[i], &values[i]);
}

_Static_assert(sizeof(struct lb_stats) % sizeof(uint64_t) == 0, "all counters are alike");

/* All but the time and the sites. */
static void code_numbers(struct coder *coder, const struct snapshot *old, struct snapshot *new)
{
	code_change(coder, old->nr_live, &new->nr_live);
	code_change(coder, old->max_live, &new->max_live);
	new->sample_shift = (uint32_t)code_bounded(coder, new->sample_shift, MAX_SHIFT);
	code_change(coder, old->epochs.start_ns, &new->epochs.start_ns);
	code_change(coder, old->epochs.length_ns, &new->epochs.length_ns);
	new->epochs.nr = (unsigned int)code_bounded(coder, new->epochs.nr, LB_MAX_EPOCHS);
	code_counters(coder, (const uint64_t *)&old->stats, (uint64_t *)&new->stats,
		      sizeof(new->stats) / sizeof(uint64_t));
	code_counters(coder, old->opened, new->opened, ARRAY_SIZE(new->opened));
	code_counters(coder, old->closed, new->closed, ARRAY_SIZE(new->closed));
}

/* By how much live is not opened - closed, which it is unless it is an estimate. */
static uint64_t excess_count(const struct site_count *site)
{
	return site->live_count - (site->opened_count - site->closed_count);
}

static uint64_t excess_bytes(const struct site_count *site)
{
	return site->live_bytes - (site->opened_bytes - site->closed_bytes);
}

static unsigned int changes_of(const struct site_state *old, const struct site_state *new)
{
	const struct site_count *a = &old->site, *b = &new->site;
	unsigned int changed = 0;

	if (a->opened_count != b->opened_count || a->opened_bytes != b->opened_bytes)
		changed |= CHANGED_OPENED;
	if (a->closed_count != b->closed_count || a->closed_bytes != b->closed_bytes)
		changed |= CHANGED_CLOSED;
	if (excess_count(a) != excess_count(b) || excess_bytes(a) != excess_bytes(b))
		changed |= CHANGED_EXCESS;
	if (a->oldest_ns != b->oldest_ns)
		changed |= CHANGED_OLDEST;
	if (a->longest_ns != b->longest_ns)
		changed |= CHANGED_LONGEST;
	if (memcmp(old->cohorts, new->cohorts, sizeof(new->cohorts)) != 0)
		changed |= CHANGED_COHORTS;
	if (a->group != b->group || a->estimated != b->estimated || a->ended != b->ended ||
	    old->has_cohorts != new->has_cohorts || old->state != new->state ||
	    old->proof != new->proof)
		changed |= CHANGED_REST;
	return changed;
}

static void code_rest(struct coder *coder, const struct site_state *old, struct site_state *new,
		      uint64_t nr_strings)
{
	uint64_t flags = (new->site.estimated ? REST_ESTIMATED : 0) |
			 (new->site.ended ? REST_ENDED : 0) | (new->has_cohorts ? REST_COHORTS : 0);

	flags = code_bounded(coder, flags, REST_ALL);
	new->site.estimated = flags &REST_ESTIMATED;
	new->site.ended = flags &REST_ENDED;
	new->has_cohorts = flags &REST_COHORTS;
	code_change(coder, old->site.group, &new->site.group);
	new->state = code_bounded(coder, new->state, nr_strings);
	new->proof = code_bounded(coder, new->proof, nr_strings);
}

static void code_cohorts(struct coder *coder, const struct site_state *old, struct site_state *new)
{
	for (size_t i = 0; i < LB_MAX_EPOCHS; i++) {
		uint64_t number = new->cohorts[i];

		code_change(coder, old->cohorts[i], &number);
		new->cohorts[i] = (uint32_t)number;
	}
}

/* What has changed of a site. @new is what @old was, or, when written, what it is to be. */
static void code_site(struct coder *coder, const struct site_state *old, struct site_state *new,
		      uint64_t nr_strings)
{
	uint64_t count = excess_count(&new->site), bytes = excess_bytes(&new->site);
	unsigned int changed = (unsigned int)code_bounded(coder, changes_of(old, new), CHANGED_ALL);

	if (changed & CHANGED_OPENED) {
		code_change(coder, old->site.opened_count, &new->site.opened_count);
		code_change(coder, old->site.opened_bytes, &new->site.opened_bytes);
	}
	if (changed & CHANGED_CLOSED) {
		code_change(coder, old->site.closed_count, &new->site.closed_count);
		code_change(coder, old->site.closed_bytes, &new->site.closed_bytes);
	}
	if (changed & CHANGED_EXCESS) {
		code_change(coder, excess_count(&old->site), &count);
		code_change(coder, excess_bytes(&old->site), &bytes);
	}
	new->site.live_count = new->site.opened_count - new->site.closed_count + count;
	new->site.live_bytes = new->site.opened_bytes - new->site.closed_bytes + bytes;
	if (changed & CHANGED_OLDEST)
		code_change(coder, old->site.oldest_ns, &new->site.oldest_ns);
	if (changed & CHANGED_COHORTS)
		code_cohorts(coder, old, new);
	if (changed & CHANGED_REST)
		code_rest(coder, old, new, nr_strings);
	if (changed & CHANGED_LONGEST)
		code_change(coder, old->site.longest_ns, &new->site.longest_ns);
}

static int add_state(struct site_table *table, size_t *capacity, const struct site_state *state)
{
	if (vec_reserve((void **)&table->states, capacity, table->nr_states + 1, sizeof(*state)))
		return -ENOMEM;
	table->states[table->nr_states++] = *state;
	return 0;
}

/* --- writing --- */

struct writing {
	struct coder coder;
	struct naming *naming;
	const struct site_table *old;
	size_t at; /* in the old ones */
	size_t nr_passed;
	struct site_table table; /* as it will be */
	size_t capacity;
};

static void put_step(struct writing *writing, enum step step)
{
	put_number(writing->coder.out, writing->nr_passed);
	put_number(writing->coder.out, step);
	writing->nr_passed = 0;
}

/* The kinds of which any site has an age, and cohorts. */
static void note_kinds(const struct snapshot *snapshot, struct site_table *table)
{
	table->aged = table->counted = 0;
	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		const struct site_count *site = &snapshot->sites[i];

		if (site->oldest_ns)
			table->aged |= 1U << site->key.kind;
		if (site->cohorts)
			table->counted |= 1U << site->key.kind;
	}
}

/* What is to be remembered of @site: what it does not tell this time stays as in @old. */
static int make_state(struct writing *writing, const struct site_count *site,
		      const struct site_state *old, struct site_state *ret_state)
{
	const struct site_table *table = &writing->table;
	struct site_state state = *old;
	int error;

	state.site = *site;
	state.site.state = state.site.proof = NULL;
	state.site.cohorts = NULL;
	if (!(table->aged >> site->key.kind & 1))
		state.site.oldest_ns = old->site.oldest_ns;
	if (table->counted >> site->key.kind & 1)
		state.has_cohorts = site->cohorts;
	if (site->cohorts)
		memcpy(state.cohorts, site->cohorts,
		       MIN(table->epochs.nr, LB_MAX_EPOCHS) * sizeof(*state.cohorts));
	error = naming_string(writing->naming, site->state, &state.state);
	if (!error)
		error = naming_string(writing->naming, site->proof, &state.proof);
	*ret_state = state;
	return error;
}

/* Tells what became of @old; NULL: the site is new. */
static int put_site(struct writing *writing, const struct site_count *site,
		    const struct site_state *old)
{
	static const struct site_state none;
	struct site_state state;
	int error = make_state(writing, site, old ? old : &none, &state);

	if (error)
		return error;
	if (old && !changes_of(old, &state)) {
		writing->nr_passed++;
	} else {
		put_step(writing, old ? STEP_CHANGE : STEP_ADD);
		if (!old) {
			put_number(writing->coder.out, site->key.tgid);
			put_number(writing->coder.out, site->key.kind);
			put_number(writing->coder.out, site->key.stack);
		}
		code_site(&writing->coder, old ? old : &none, &state, UINT64_MAX);
	}
	return add_state(&writing->table, &writing->capacity, &state);
}

/* Passes the old sites before @key, which are gone. NULL: all of them. Returns the one with the key. */
static const struct site_state *pass_gone(struct writing *writing, const struct lb_site_key *key)
{
	while (writing->at < writing->old->nr_states) {
		const struct site_state *old = &writing->old->states[writing->at];
		int order = key ? site_key_compare(&old->site.key, key) : -1;

		if (order > 0)
			return NULL;
		writing->at++;
		if (order == 0)
			return old;
		naming_forget(writing->naming, &old->site.key);
		put_step(writing, STEP_REMOVE);
	}
	return NULL;
}

static int put_sites(struct writing *writing, const struct snapshot *snapshot)
{
	size_t nr = MIN(snapshot->nr_sites, MAX_SITES);
	int error = 0;

	for (size_t i = 0; i < nr && !error; i++) {
		const struct site_count *site = &snapshot->sites[i];

		error = put_site(writing, site, pass_gone(writing, &site->key));
	}
	pass_gone(writing, NULL);
	put_step(writing, STEP_END);
	return error;
}

int delta_put(struct site_table *table, struct naming *naming, const struct snapshot *snapshot,
	      struct buf *payload)
{
	struct writing writing = {
		.coder = { .out = payload },
		.naming = naming,
		.old = table,
		.table = { .numbers = *snapshot },
	};
	int error;

	code_numbers(&writing.coder, &table->numbers, &writing.table.numbers);
	writing.table.numbers.sites = NULL;
	writing.table.numbers.nr_sites = 0;
	note_kinds(snapshot, &writing.table);
	put_number(payload, writing.table.aged);
	put_number(payload, writing.table.counted);
	move_epochs(table, &snapshot->epochs);
	writing.table.epochs = table->epochs;
	error = put_sites(&writing, snapshot);
	free(table->states);
	*table = writing.table;
	return error ? error : payload->error;
}

/* --- reading --- */

/* Appends the state in the order of the keys. */
static int take_state(struct site_table *table, size_t *capacity, const struct site_state *state)
{
	const struct lb_site_key *key = &state->site.key;

	if (table->nr_states == MAX_SITES ||
	    (table->nr_states > 0 &&
	     site_key_compare(&table->states[table->nr_states - 1].site.key, key) >= 0))
		return -EBADMSG;
	return add_state(table, capacity, state);
}

static void get_key(struct cursor *cursor, struct lb_site_key *ret_key)
{
	ret_key->tgid = (uint32_t)get_bounded(cursor, UINT32_MAX);
	ret_key->kind = (uint32_t)get_bounded(cursor, LB_KIND_MAX - 1);
	ret_key->stack = get_number(cursor);
}

/* Is what the site says within reason? Sums and quotients are made of it. */
static bool is_credible(const struct site_count *site)
{
	return site->opened_count <= MAX_FLOW && site->opened_bytes <= MAX_FLOW &&
	       site->closed_count <= MAX_FLOW && site->closed_bytes <= MAX_FLOW &&
	       site->live_count <= MAX_COUNT && site->live_bytes <= MAX_COUNT &&
	       site->oldest_ns <= MAX_TIME_NS && site->longest_ns <= MAX_TIME_NS;
}

/* Takes one step that adds a state. @old: the state that changes; NULL: it is new. */
static int get_site(struct site_table *table, size_t *capacity, const struct site_state *old,
		    uint64_t nr_strings, struct coder *coder)
{
	static const struct site_state none;
	struct site_state state = old ? *old : none;

	if (!old)
		get_key(coder->in, &state.site.key);
	code_site(coder, old ? old : &none, &state, nr_strings);
	if (coder->in->fault || !is_credible(&state.site))
		return -EBADMSG;
	return take_state(table, capacity, &state);
}

static int get_sites(const struct site_table *old, struct site_table *table, uint64_t nr_strings,
		     struct coder *coder)
{
	size_t capacity = 0, at = 0;
	int error = 0;

	while (!error && !coder->in->fault) {
		size_t nr_passed = get_bounded(coder->in, old->nr_states - at);
		uint64_t step = get_bounded(coder->in, STEP_MAX - 1);
		const struct site_state *changed = NULL;

		for (; nr_passed > 0 && !error; nr_passed--)
			error = take_state(table, &capacity, &old->states[at++]);
		if (step == STEP_END)
			break;
		if (step != STEP_ADD) {
			if (at == old->nr_states)
				return -EBADMSG;
			changed = &old->states[at++];
		}
		if (step != STEP_REMOVE && !error)
			error = get_site(table, &capacity, changed, nr_strings, coder);
	}
	if (!error && at != old->nr_states)
		error = -EBADMSG;
	return error ? error : cursor_end(coder->in);
}

int delta_get(struct site_table *table, uint64_t nr_strings, struct cursor *cursor)
{
	struct coder coder = { .in = cursor };
	struct site_table new = { .numbers = table->numbers };
	int error;

	code_numbers(&coder, &table->numbers, &new.numbers);
	new.aged = (uint32_t)get_bounded(cursor, KIND_MASK);
	new.counted = (uint32_t)get_bounded(cursor, KIND_MASK);
	if (cursor->fault || new.numbers.epochs.start_ns > MAX_TIME_NS ||
	    new.numbers.epochs.length_ns > MAX_TIME_NS)
		return -EBADMSG;
	move_epochs(table, &new.numbers.epochs);
	new.epochs = table->epochs;
	error = get_sites(table, &new, nr_strings, &coder);
	free(table->states);
	*table = new;
	return error;
}
