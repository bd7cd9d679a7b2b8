/* tb_soc.cpp - accel_soc.v driven by the library's own link code over a cable that damages, loses and repeats bytes:
 * random jobs, whose results must be the golden model's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_jobs.h"

#include "Vsoc_lut.h"
#include "Vsoc_mac.h"

namespace
{

using tb::Bench;
using tb::Shape;

const Shape kMac = { "mac", { 8, 16, 2, 24, 16 }, 4, 64, { 64, 256, 512, 64, 64 }, 64 | 4 << 16 };
const Shape kLut = {
    "lut", { 8, 16, 2, 24, 0 }, 4, 64, { 64, 1024, 16384, 1024, 16 }, 256 | 2 << 16
};

/* Bytes straight into the device, a wire that carries one a cycle; stalls on both sides. */
template <class Top> class SocPort
{
  public:
    static constexpr uint64_t kTimeout = 3000;
    static constexpr size_t kAhead = 1;

    explicit SocPort(tb::Job &job) : dut_(job), stall_(job.stall())
    {
        dut_->valid_i = dut_->ready_i = 0;
        dut_->side_valid_i = 0;
        dut_.reset();
    }

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        dut_->valid_i = !down.empty() && !stall_.now();
        if (dut_->valid_i)
            dut_->data_i = down.front();
        dut_->ready_i = !stall_.now();
        dut_.drive();
        CHECK(dut_->ready_o, "a byte was not taken");
        if (dut_->valid_i)
            down.pop_front();
        if (dut_->valid_o && dut_->ready_i)
            up.put(dut_->data_o);
        dut_.step();
        dut_.alive();
        return 1;
    }

  private:
    tb::Dut<Top> dut_;
    tb::Stall stall_;
};

template <class Top> void cases(tb::Runner &run, tb::Golden &golden, const Shape &shape)
{
    const std::string soc = std::string("accel_soc ") + shape.kind + " ";
    run.test(soc + "computes what the golden model does over a good cable", 20, [&](tb::Job &job) {
        Bench<SocPort<Top>> b(job, golden, shape, 0, 0);
        b.open();
        b.registers();
        for (int i = 0; i < 3; i++)
            b.gemm();
        CHECK_EQ(b.resent(), 0, "frames sent again");
        b.registers();
    });
    uint64_t faults = 0; /* of all jobs */
    run.test(soc + "computes the same over a cable that damages, loses and repeats", 40,
             [&](tb::Job &job) {
                 static const unsigned rates[] = { 3000, 800, 300, 0 };
                 Bench<SocPort<Top>> b(job, golden, shape, rates[job.number % 4],
                                       rates[(job.number + 1) / 2 % 3]);
                 b.open();
                 for (int i = 0; i < 2; i++)
                     b.gemm();
                 faults += b.faults();
                 CHECK(job.number != 39 || faults > 100 || faults == b.faults(),
                       "hardly anything was damaged");
                 b.registers();
             });
    if (shape.rooms[LINK_STREAM_W] >= 4 * LINK_MAX_PAYLOAD)
        run.test(soc + "takes payload at 95 % of the speed of the wire", 1, [&](tb::Job &job) {
            job.number = 3; /* without stalls */
            Bench<SocPort<Top>> b(job, golden, shape, 0, 0);
            b.open();
            const double e = b.efficiency();
            CHECK(e >= 0.95, "%.1f %% of a wire's bytes are payload", 100 * e);
        });
    run.test(soc + "is as good as new after a reset in the middle of a job", 20, [&](tb::Job &job) {
        Bench<SocPort<Top>> b(job, golden, shape, job.number % 2 ? 2000 : 0, 0);
        b.open();
        for (int i = 0; i < 4; i++) {
            b.gemm(job.rng.range(1, 4000));
            b.open();
        }
        b.gemm();
    });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    cases<Vsoc_mac>(run, golden, kMac);
    cases<Vsoc_lut>(run, golden, kLut);
    return run.finish();
}
