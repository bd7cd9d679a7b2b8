/* tb_link.cpp - the link's parts: receiver and sender against the C codec, stream buffers, beats, kept results.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "link/frame.h"

#include "Vbeat_to_bytes_2.h"
#include "Vbeat_to_bytes_12.h"
#include "Vbytes_to_beat_2.h"
#include "Vbytes_to_beat_9.h"
#include "Vlink_fifo_16.h"
#include "Vlink_fifo_64.h"
#include "Vlink_results.h"
#include "Vlink_rx.h"
#include "Vlink_tx.h"

namespace
{

using Bytes = std::vector<uint8_t>;

link_header random_header(tb::Rng &rng, unsigned longest)
{
    link_header h = {};
    h.type = (uint8_t)rng.next();
    h.flags = (uint8_t)rng.next();
    h.session = (uint16_t)rng.next();
    h.sequence = (uint16_t)rng.next();
    h.ack = (uint16_t)rng.next();
    h.tag = (uint16_t)rng.next();
    h.length = (uint16_t)(rng.one_in(4) ? 0 : rng.below(longest + 1));
    return h;
}

Bytes random_bytes(tb::Rng &rng, size_t count)
{
    Bytes b(count);
    for (uint8_t &v : b)
        v = rng.one_in(6) ? LINK_MAGIC_0 : rng.one_in(6) ? LINK_MAGIC_1 : (uint8_t)rng.next();
    return b;
}

Bytes frame(const link_header &h, const Bytes &payload)
{
    Bytes f(LINK_OVERHEAD + h.length);
    link_encode(f.data(), &h, payload.data());
    return f;
}

/* Frames, whole and damaged, and what else may be on a cable. */
Bytes traffic(tb::Rng &rng)
{
    Bytes all;
    for (int i = 0; i < 30; i++) {
        const link_header h = random_header(rng, i == 7 ? LINK_MAX_PAYLOAD : 60);
        Bytes f = frame(h, random_bytes(rng, h.length));
        switch (rng.below(8)) {
        case 0: f[rng.below((uint32_t)f.size())] ^= (uint8_t)(1u << rng.below(8)); break;
        case 1: f.resize(rng.below((uint32_t)f.size())); break;
        case 2: f.erase(f.begin() + rng.below((uint32_t)f.size())); break;
        case 3: f = random_bytes(rng, rng.below(40)); break;
        case 4: { /* too long, with a check that is right */
            f[13] = 0x10 + rng.below(100);
            f[12] |= 1;
            const uint32_t crc = link_crc(0, f.data(), LINK_CHECKED_BYTES);
            f[14] = (uint8_t)crc;
            f[15] = (uint8_t)(crc >> 8);
            break;
        }
        default: break;
        }
        all.insert(all.end(), f.begin(), f.end());
    }
    return all;
}

/* What the codec and the receiver have to say about the same bytes. */
struct Event {
    enum link_found what; /* LINK_NOTHING: a wrong header */
    link_header header;
    Bytes payload;
    bool operator==(const Event &e) const
    {
        return what == e.what &&
               (what != LINK_FRAME ||
                (std::memcmp(&header, &e.header, sizeof header) == 0 && payload == e.payload));
    }
};

void receive(tb::Job &job)
{
    static unsigned total = 0; /* whole frames of all jobs */
    static link_decoder d;
    tb::Dut<Vlink_rx> dut(job);
    dut->valid_i = 0;
    dut.reset();
    std::memset(&d, 0, sizeof d);
    std::vector<Event> want, got;
    tb::Stall stall = job.stall();
    Bytes payload;
    bool header = false;
    unsigned whole = 0;
    const auto watch = [&] {
        if (dut->header_o) {
            header = true;
            payload.clear();
        }
        if (dut->payload_o) {
            CHECK(header, "payload before the header");
            payload.push_back(dut->data_i);
        }
        CHECK(dut->good_o + dut->bad_o + dut->bad_header_o <= 1, "two things at once");
        if (dut->good_o || dut->bad_o) {
            CHECK(header, "an end without a header");
            header = false;
            link_header h = {};
            h.type = dut->type_o;
            h.flags = dut->flags_o;
            h.session = dut->session_o;
            h.sequence = dut->sequence_o;
            h.ack = dut->ack_o;
            h.tag = dut->tag_o;
            h.length = dut->length_o;
            CHECK_EQ(payload.size(), h.length, "payload");
            got.push_back({ dut->good_o ? LINK_FRAME : LINK_BROKEN, h, payload });
            whole += dut->good_o;
        }
        if (dut->bad_header_o)
            got.push_back({ LINK_NOTHING, {}, {} });
    };
    const Bytes bytes = traffic(job.rng);
    for (const uint8_t b : bytes) {
        while (stall.now()) {
            dut->valid_i = 0;
            dut->data_i = (uint8_t)job.rng.next();
            dut.drive();
            watch();
            dut.step();
            dut.alive();
        }
        dut->valid_i = 1;
        dut->data_i = b;
        dut.drive();
        watch();
        dut.step();
        dut.alive();
        size_t used;
        const uint64_t bad = d.bad_header;
        const enum link_found found = link_decode(&d, &b, 1, &used);
        if (found)
            want.push_back(
                { found, d.header, Bytes(link_payload(&d), link_payload(&d) + d.header.length) });
        else if (d.bad_header != bad)
            want.push_back({ LINK_NOTHING, {}, {} });
    }
    dut->valid_i = 0;
    dut.drive();
    watch();
    CHECK_EQ(got.size(), want.size(), "number of frames");
    for (size_t i = 0; i < want.size(); i++)
        CHECK(got[i] == want[i], "frame %zu of %zu is another one", i, want.size());
    total += whole;
    CHECK(job.number != 199 || total > 199 || total == whole,
          "hardly a whole frame: the bench tests nothing");
}

void send(tb::Job &job)
{
    tb::Dut<Vlink_tx> dut(job);
    struct Head {
        uint32_t word[3];
    };
    Bytes want, got;
    tb::Source<Head> heads(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const Head &h) {
        std::memcpy(&dut->field_i, h.word, sizeof h.word);
    });
    tb::Source<uint8_t> payload(dut, dut->payload_valid_i, dut->payload_ready_o, job.stall(),
                                [&](uint8_t b) { dut->payload_i = b; });
    tb::Sink<uint8_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(), [&](uint8_t &b) { b = dut->data_o; },
        [&](uint8_t b) { got.push_back(b); });
    dut.reset();
    for (int i = 0; i < 20; i++) {
        const link_header h = random_header(job.rng, 50);
        const Bytes p = random_bytes(job.rng, h.length), f = frame(h, p);
        Head head;
        std::memcpy(head.word, f.data() + 2, sizeof head.word);
        heads.queue.push_back(head);
        payload.queue.insert(payload.queue.end(), p.begin(), p.end());
        want.insert(want.end(), f.begin(), f.end());
    }
    while (got.size() < want.size()) {
        dut.drive();
        dut.step();
    }
    CHECK(got == want, "the bytes are not the codec's");
    CHECK(heads.queue.empty() && payload.queue.empty(), "something was not sent");
    dut.drive();
    CHECK(!dut->valid_o, "a byte more than the frames have");
}

template <class Top, unsigned Depth> void keep(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    std::deque<uint8_t> kept;
    Bytes fresh;
    uint32_t limit = Depth, told = Depth;
    size_t out_count = 0, most = 0;
    tb::Sink<uint8_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(), [&](uint8_t &b) { b = dut->data_o; },
        [&](uint8_t b) {
            CHECK(!kept.empty(), "a byte came out that was not kept");
            CHECK_EQ(b, kept.front(), "byte");
            kept.pop_front();
            out_count++;
        });
    dut->write_i = dut->commit_i = dut->undo_i = dut->told_i = 0;
    dut.reset();
    for (int t = 0; t < 6000; t++) {
        dut->write_i = dut->commit_i = dut->undo_i = 0;
        dut->told_i = job.rng.one_in(40);
        dut->data_i = (uint8_t)job.rng.next();
        if (fresh.size() < dut->free_o && !job.rng.one_in(5))
            dut->write_i = 1;
        else if (job.rng.one_in(3))
            dut->commit_i = 1;
        else if (job.rng.one_in(3))
            dut->undo_i = 1;
        dut.drive();
        CHECK(dut->limit_o - limit <= 1, "the limit jumps");
        limit = dut->limit_o;
        CHECK_EQ(dut->grown_o, limit - told >= Depth / 4, "news of a quarter");
        if (dut->told_i)
            told = limit;
        CHECK(limit <= Depth + out_count + 1, "more room than was made");
        const size_t before = kept.size();
        const unsigned free = dut->free_o;
        dut.step();
        dut.alive();
        if (dut->write_i)
            fresh.push_back(dut->data_i);
        if (dut->commit_i)
            kept.insert(kept.end(), fresh.begin(), fresh.end());
        if (dut->commit_i || dut->undo_i)
            fresh.clear();
        CHECK(free + before <= Depth + 1, "room for %u beside %zu bytes", free, before);
        most = std::max(most, kept.size());
    }
    CHECK(out_count > Depth && most > Depth / 2, "the buffer was hardly used");
}

template <class Top, unsigned Size> void gather(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    std::deque<uint8_t> want;
    tb::Source<uint8_t> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                           [&](uint8_t b) { dut->data_i = b; });
    struct Beat {
        uint8_t byte[Size];
    };
    tb::Sink<Beat> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Beat &b) { std::memcpy(&b, &dut->data_o, sizeof b); },
        [&](const Beat &b) {
            for (const uint8_t v : b.byte) {
                CHECK_EQ(v, want.front(), "byte of a beat");
                want.pop_front();
            }
        });
    dut.reset();
    for (unsigned i = 0; i < 100 * Size; i++) {
        in.queue.push_back((uint8_t)job.rng.next());
        want.push_back(in.queue.back());
    }
    while (!want.empty()) {
        dut.drive();
        dut.step();
    }
}

template <class Top, unsigned Size> void spread(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    std::deque<uint8_t> want;
    struct Beat {
        uint8_t byte[Size];
    };
    tb::Source<Beat> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                        [&](const Beat &b) { std::memcpy(&dut->data_i, &b, sizeof b); });
    tb::Sink<uint8_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(), [&](uint8_t &b) { b = dut->data_o; },
        [&](uint8_t b) {
            CHECK(!want.empty(), "a byte too many");
            CHECK_EQ(b, want.front(), "byte");
            want.pop_front();
        });
    dut.reset();
    for (unsigned i = 0; i < 100; i++) {
        Beat b;
        for (uint8_t &v : b.byte)
            want.push_back(v = (uint8_t)job.rng.next());
        in.queue.push_back(b);
    }
    while (!want.empty()) {
        dut.drive();
        dut.step();
    }
    dut.drive();
    CHECK(!dut->valid_o, "a byte more than the beats have");
}

/* Commands of random length; frames go out, are acknowledged, refused or lost, in any order of events. */
void results(tb::Job &job)
{
    constexpr unsigned kBytes = 16;
    struct Frame {
        uint8_t type;
        uint16_t tag;
        Bytes payload;
    };
    tb::Dut<Vlink_results> dut(job);
    tb::Rng &rng = job.rng;
    std::vector<Frame> want;
    struct Command {
        uint16_t id;
        uint8_t status;
        Bytes results;
    };
    std::deque<Command> commands;
    for (int i = 0; i < 12; i++) {
        commands.push_back(
            { (uint16_t)rng.next(), (uint8_t)rng.next(), random_bytes(rng, rng.below(80)) });
        const Command &c = commands.back();
        for (size_t at = 0; at < c.results.size(); at += kBytes)
            want.push_back(
                { LINK_TYPE_RESULT, c.id,
                  Bytes(c.results.begin() + (long)at,
                        c.results.begin() + (long)std::min(c.results.size(), at + kBytes)) });
        want.push_back(
            { LINK_TYPE_COMPLETION, c.id, { (uint8_t)c.id, (uint8_t)(c.id >> 8), c.status, 0 } });
    }
    dut->valid_i = dut->cpl_valid_i = dut->send_i = dut->payload_ready_i = dut->ack_valid_i =
        dut->nak_i = 0;
    dut.reset();
    size_t fed = 0;                   /* bytes of the first command */
    uint16_t arrived = 0, cursor = 0; /* at the host; the next to be sent, as the bench sees it */
    tb::Stall stall = job.stall(), cpl_stall = job.stall();
    for (int t = 0; arrived < want.size(); t++) {
        CHECK(t < 100000, "stuck at frame %u of %zu", arrived, want.size());
        dut.alive();
        const bool any = !commands.empty(), all = any && fed == commands[0].results.size();
        if (!dut->valid_i) /* an offer stays */
            dut->valid_i = any && !all && !stall.now();
        if (dut->valid_i)
            dut->data_i = commands[0].results[fed];
        if (!dut->cpl_valid_i)
            dut->cpl_valid_i = all && !cpl_stall.now();
        if (any) {
            dut->tag_i = commands[0].id;
            dut->cpl_i = (uint32_t)commands[0].status << 16 | commands[0].id;
        }
        dut->send_i = 0;
        dut->ack_valid_i = rng.one_in(12);
        dut->nak_i = rng.one_in(2);
        dut->ack_i = rng.one_in(4) ? (uint16_t)(arrived - rng.below(20))
                                   : arrived; /* old ones do no harm */
        if (dut->ack_i != arrived)
            dut->nak_i = 0;
        dut.drive();
        if (dut->frame_o && rng.one_in(3)) { /* a frame goes out, whole, while the rest goes on */
            CHECK_EQ(dut->cursor_o, cursor, "cursor");
            CHECK(cursor < want.size(), "a frame too many");
            const Frame &f = want[cursor];
            CHECK_EQ(dut->type_o, f.type, "type");
            CHECK_EQ(dut->tag_o, f.tag, "tag");
            CHECK_EQ(dut->length_o, f.payload.size(), "length");
            dut->ack_valid_i = dut->valid_i = dut->cpl_valid_i = 0;
            dut->send_i = 1;
            dut.drive();
            dut.step();
            dut->send_i = 0;
            for (size_t i = 0; i < f.payload.size();) {
                dut->payload_ready_i = !rng.one_in(3);
                dut.drive();
                if (dut->payload_valid_o && dut->payload_ready_i)
                    CHECK_EQ(dut->payload_o, f.payload[i++], "payload");
                dut.step();
                dut.alive();
            }
            dut->payload_ready_i = 0;
            if (cursor == arrived && !rng.one_in(4))
                arrived++;
            cursor++;
            continue;
        }
        CHECK(dut->frame_o || dut->cursor_o == cursor, "cursor");
        const bool took = dut->valid_i && dut->ready_o,
                   ended = dut->cpl_valid_i && dut->cpl_ready_o;
        const bool ack = dut->ack_valid_i && dut->ack_i == arrived, nak = dut->nak_i;
        CHECK(!dut->rewound_o || (ack && nak), "rewound without being asked to");
        dut.step();
        if (took) {
            fed++;
            dut->valid_i = 0;
        }
        if (ended) {
            CHECK(all, "completed before its results");
            commands.pop_front();
            fed = 0;
            dut->cpl_valid_i = 0;
        }
        if (ack && (nak || cursor < arrived))
            cursor = arrived;
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("link_rx finds what the C codec finds in damaged traffic", 200, receive);
    run.test("link_tx sends the bytes of the C codec", 60, send);
    run.test("link_fifo of 16 bytes gives out what was committed and forgets the rest", 40,
             keep<Vlink_fifo_16, 16>);
    run.test("link_fifo of 64 bytes gives out what was committed and forgets the rest", 40,
             keep<Vlink_fifo_64, 64>);
    run.test("bytes_to_beat of 2 bytes keeps their order", 20, gather<Vbytes_to_beat_2, 2>);
    run.test("bytes_to_beat of 9 bytes keeps their order", 20, gather<Vbytes_to_beat_9, 9>);
    run.test("beat_to_bytes of 2 bytes keeps their order", 20, spread<Vbeat_to_bytes_2, 2>);
    run.test("beat_to_bytes of 12 bytes keeps their order", 20, spread<Vbeat_to_bytes_12, 12>);
    run.test("link_results sends again until acknowledged, in order, nothing lost", 60, results);
    return run.finish();
}
