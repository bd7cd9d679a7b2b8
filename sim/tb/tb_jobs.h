/* tb_jobs.h - random jobs for a device behind the link, by the library's own link code; results must be the golden model's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_JOBS_H
#define TB_JOBS_H

#include "tb_matrix.h"

#include "bad_wire.h"
#include "link/host.h"
#include "streams.h"

#include <array>

namespace tb
{

struct Shape {
    const char *kind;
    pack_shape pack;
    uint32_t max_n, x_depth, rooms[LINK_STREAMS], result;
    uint32_t left_out = 0; /* register 12 */
};
/* The bytes of accel_soc.v, stalled both ways: what it is given before its outputs are looked at, what is so exchanged after that. */
template <class D> void offer_bytes(D &dut, Stall &stall, const std::deque<uint8_t> &down)
{
    dut->valid_i = !down.empty() && !stall.now();
    if (dut->valid_i)
        dut->data_i = down.front();
    dut->ready_i = !stall.now();
}
template <class D> void exchange_bytes(D &dut, std::deque<uint8_t> &down, BadWire &up)
{
    if (dut->valid_i)
        down.pop_front();
    if (dut->valid_o && dut->ready_i)
        up.put(dut->data_o);
}
/* Cycles of a Port in which the host says nothing and hears nothing. */
template <class Port> void idle(Port &port, unsigned cycles)
{
    std::deque<uint8_t> none;
    BadWire up(1, 0);
    while (cycles--)
        port.cycle(none, up);
}

/* Random jobs over the link. A Port moves bytes between the link and the device: cycle() takes some from `down`, puts some
 * into `up`, and returns the cycles that this took. */
template <class Port> class Bench
{
  public:
    Bench(tb::Job &job, tb::Golden &golden, const Shape &shape, unsigned down, unsigned up)
        : rng_(job.rng), golden_(golden), shape_(shape), down_(job.rng.next(), down),
          up_(job.rng.next(), up), port(job), host_(new link_host)
    {
        const link_timing timing = { Port::kTimeout, UINT64_MAX / 4 };
        link_host_init(host_.get(), &timing, take, this);
    }
    ~Bench() { streams_free(&streams_); }

    void open()
    {
        link_host_open(host_.get(), ++session_, now_);
        for (int t = 0; host_->state == LINK_OPENING; t++) {
            CHECK(t < 3000000, "no READY");
            cycle();
        }
        CHECK_EQ(host_->state, LINK_OPEN, "state");
    }

    uint32_t peek(uint16_t word, uint16_t count = 1)
    {
        link_host_peek(host_.get(), word, count, now_);
        for (int t = 0; !host_->answered; t++) {
            CHECK(t < 3000000, "no answer");
            cycle();
        }
        return host_->words[0];
    }
    uint32_t word(unsigned i) const { return host_->words[i]; } /* of the last answer */
    void poke(uint16_t word, uint32_t value)
    {
        link_host_poke(host_.get(), word, value, now_);
        while (!host_->answered)
            cycle();
        CHECK_EQ(host_->words[0], value, "what was written");
    }

    void registers()
    {
        const uint32_t value = (uint32_t)rng_.next();
        poke(LINK_REG_SCRATCH, value);
        CHECK_EQ(peek(LINK_REG_SCRATCH), value, "scratch");
        CHECK_EQ(peek(LINK_REG_CORE + 3), shape_.pack.rows, "rows");
        CHECK_EQ(peek(LINK_REG_MAGIC), LINK_MAGIC_WORD, "magic");
        CHECK_EQ(peek(LINK_REG_RESULT), shape_.result, "result frames");
        CHECK_EQ(peek(LINK_REG_SESSION), session_, "session");
        peek(LINK_REG_ROOM - 1, 7);
        CHECK_EQ(host_->words[0] + host_->words[6], 0, "registers that do not exist");
        for (unsigned s = 0; s < LINK_STREAMS; s++)
            CHECK_EQ(host_->words[1 + s], shape_.rooms[s], "room");
        poke(LINK_REG_SESSION, 77); /* not writable */
        CHECK_EQ(peek(LINK_REG_SESSION), session_, "session");
        CHECK_EQ(peek(1000), 0, "a register beyond the last");
        CHECK_EQ(peek(LINK_REG_CORE + 12), shape_.left_out, "what is left out");
        CHECK_EQ(peek(LINK_REG_GOOD) > 0, !(shape_.left_out & 1), "frames are counted");
    }

    /* From now on weights are stored in the device's memory and fetched from there, where they fit. */
    void keep_weights(uint32_t bytes) { memory_ = bytes; }
    unsigned kept() const { return kept_; } /* jobs whose weights were */

    /* A random matrix by random columns; `part`: leave after about so many cycles. */
    void gemm(uint32_t part = 0)
    {
        const pe_kind *kind = tb::find_kind(shape_.kind);
        const uint32_t group = wide_ ? 128 : tb::kGroups[rng_.below(8)];
        const uint32_t cols = wide_
                                  ? shape_.x_depth * shape_.pack.lanes
                                  : std::min(group ? rng_.range(1, 3 * group) : rng_.range(1, 600),
                                             shape_.x_depth * 8);
        accel_format f;
        pack_wire wire;
        do {
            f = wide_ ? ACCEL_INT(8) : tb::formats()[rng_.below((uint32_t)tb::formats().size())];
        } while (pack_wire_format(kind, 24, f, &wire));
        const uint32_t rows = wide_ ? wide_rows_ : rng_.range(1, 30);
        tb::Matrix mat = tb::random_matrix(rng_, f, rows, cols, group, rng_.one_in(2), kind);
        if (!wide_ && shape_.pack.o_depth && rng_.one_in(3))
            mat = tb::with_outliers(rng_, mat, rng_.range(1, 20));
        const tb::Packed p(kind, shape_.pack, mat.get());
        const uint32_t n = wide_ ? 1
                                 : rng_.range(1, std::min(shape_.max_n, shape_.x_depth / p.steps));
        const std::vector<int8_t> x = tb::random_acts(rng_, n, cols);
        std::vector<uint32_t> mul(rows);
        std::vector<uint8_t> shift(rows), shift_in;
        for (uint32_t r = 0; r < rows; r++) {
            mul[r] = (uint32_t)(rng_.next() >> 33);
            shift[r] = (uint8_t)rng_.range(28, 62);
        }
        const bool rq = rng_.one_in(3);
        std::vector<int64_t> acc((size_t)rows * n);
        std::vector<int8_t> i8((size_t)rows * n);
        accel_weights w = {};
        w.rows = rows;
        w.cols = cols;
        w.group = group;
        backend_job job = {};
        job.weights = &w;
        job.x = x.data();
        job.n = n;
        job.x_stride = cols;
        if (rq) {
            job.i8 = i8.data();
            job.requant_mul = mul.data();
            job.requant_shift = shift.data();
        } else {
            job.acc = acc.data();
        }
        const uint16_t id = (uint16_t)rng_.next();
        CHECK_EQ(streams_of_job(&streams_, &shape_.pack, &p, &job, id), ACCEL_OK, "status");
        commands_.clear();
        if (memory_)
            store(id, rq);
        commands_.insert(commands_.end(), streams_.command, streams_.command + 4);
        results_begin(&reader_, &shape_.pack, &p, &job);
        run(id, part, { { command_bytes(), streams_.x, streams_.w, streams_.h, streams_.o } });
        if (part)
            return;
        CHECK_EQ(completion_, 0, "the command's status");
        CHECK(results_whole(&reader_), "results are missing");
        const std::vector<int64_t> y = golden_.run(mat.get(), x, n, rq ? mul.data() : nullptr,
                                                   rq ? shift.data() : nullptr);
        for (size_t i = 0; i < y.size(); i++)
            CHECK_EQ(rq ? i8[i] : acc[i], y[i], "result");
    }

    /* Bytes of the streams of one large job over the cycles it took: a wire carries one a cycle. */
    double efficiency(uint32_t rows = 256)
    {
        wide_ = true;
        wide_rows_ = rows;
        const uint64_t began = now_;
        gemm();
        size_t bytes = 16 + streams_.x.count + streams_.w.count + streams_.h.count +
                       streams_.o.count;
        return (double)bytes / (double)(now_ - began);
    }

    uint64_t faults() const { return down_.faults + up_.faults; }
    uint64_t resent() const { return host_->resent; }

  private:
    tb::Rng &rng_;
    tb::Golden &golden_;
    const Shape &shape_;
    BadWire down_, up_;

  public:
    Port port;

  private:
    std::unique_ptr<link_host> host_;
    job_streams streams_ = {};
    std::vector<uint32_t> commands_;
    uint32_t memory_ = 0;
    unsigned kept_ = 0;
    result_reader reader_ = {};
    uint64_t now_ = 0;
    uint16_t session_ = 0, id_ = 0;
    int completion_ = -1;
    bool wide_ = false;
    uint32_t wide_rows_ = 0;

    static bool take(void *user, const link_header *h, const uint8_t *payload)
    {
        Bench *b = static_cast<Bench *>(user);
        CHECK_EQ(h->tag, b->id_, "tag of a result");
        if (h->type == LINK_TYPE_RESULT)
            return results_take(&b->reader_, payload, h->length);
        CHECK_EQ(h->length, 4, "bytes of a completion");
        CHECK_EQ(link_get16(payload), b->id_, "id");
        CHECK(results_whole(&b->reader_), "completed before the last result");
        b->completion_ = payload[2];
        return true;
    }

    byte_stream command_bytes() const
    {
        return { reinterpret_cast<const uint8_t *>(commands_.data()), 4 * commands_.size() };
    }

    /* Stores the job's streams somewhere, each whole bursts, and has it fetch them. */
    void store(uint16_t id, bool rq)
    {
        byte_stream *const of[] = { &streams_.w, rq ? nullptr : &streams_.h, &streams_.o };
        std::vector<uint8_t> image;
        std::vector<uint32_t> fetches;
        for (unsigned i = 0; i < 3; i++) {
            if (!of[i] || !of[i]->count) /* headers with requantization are the job's own */
                continue;
            CHECK(of[i]->count % 2 == 0, "beats of an odd number of bytes");
            fetches.insert(fetches.end(),
                           { (uint32_t)(LINK_OP_FETCH | (LINK_STREAM_W + i) << 8 | id << 16),
                             (uint32_t)image.size(), (uint32_t)of[i]->count,
                             link_crc(0, of[i]->bytes, of[i]->count) });
            image.insert(image.end(), of[i]->bytes, of[i]->bytes + of[i]->count);
            image.resize((image.size() + 15) / 16 * 16);
        }
        if (image.size() > memory_)
            return;
        const uint32_t at = rng_.below((memory_ - (uint32_t)image.size()) / 16 + 1) * 16;
        commands_ = { (uint32_t)(LINK_OP_STORE | id << 16), at, (uint32_t)image.size(), 0 };
        reader_ = {};
        run(id, 0, { { command_bytes(), {}, { image.data(), image.size() }, {}, {} } });
        CHECK_EQ(completion_, 0, "the status of storing");
        for (size_t i = 1; i < fetches.size(); i += 4)
            fetches[i] += at;
        commands_ = fetches;
        for (unsigned i = 0; i < 3; i++)
            if (of[i])
                of[i]->count = 0;
        kept_++;
    }

    void run(uint16_t id, uint32_t part, std::array<byte_stream, LINK_STREAMS> s)
    {
        id_ = id;
        completion_ = -1;
        for (uint32_t t = 0; completion_ < 0; t++) {
            CHECK(t < 5000000, "stuck: %zu %zu %zu %zu %zu bytes left, %zu of %zu results",
                  s[0].count, s[1].count, s[2].count, s[3].count, s[4].count, reader_.values,
                  reader_.values_in_all);
            if (part && t >= part)
                return;
            CHECK_EQ(host_->state, LINK_OPEN, "state");
            for (unsigned k = 0; k < LINK_STREAMS; k++) {
                size_t n = std::min(link_host_room(host_.get(), k), s[k].count);
                if (!n)
                    continue;
                if (wide_ && n < std::min<size_t>(s[k].count, shape_.rooms[k] / 4))
                    continue; /* not worth a frame */
                if (!wide_) { /* a longer frame hardly ever survives the worst cable */
                    n = std::min<size_t>(n, 512);
                    n = rng_.one_in(2) ? n : 1 + rng_.below((uint32_t)n);
                }
                link_host_send(host_.get(), k, id, s[k].bytes, n, now_);
                s[k].bytes += n;
                s[k].count -= n;
            }
            link_host_expect(host_.get(), true, now_);
            cycle();
        }
        for (const byte_stream &left : s)
            CHECK_EQ(left.count, 0, "bytes that nobody wanted");
    }

    void cycle()
    {
        uint8_t b;
        for (size_t n = Port::kAhead;
             n && down_.bytes.size() < 64 * n && link_host_output(host_.get(), &b, 1, now_); n--)
            down_.put(b);
        now_ += port.cycle(down_.bytes, up_);
        while (!up_.bytes.empty()) {
            b = up_.bytes.front();
            up_.bytes.pop_front();
            link_host_input(host_.get(), &b, 1, now_);
        }
    }
};

} // namespace tb

#endif
