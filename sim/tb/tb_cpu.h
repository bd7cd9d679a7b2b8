/* tb_cpu.h - the host's side of the processor's mailbox, for testbenches.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_CPU_H
#define TB_CPU_H

#include "tb_jobs.h"

#include <fstream>

namespace tb
{

template <class Port> class Cpu : public Bench<Port>
{
  public:
    using Bench<Port>::Bench;

    uint32_t reg(unsigned word) { return this->peek((uint16_t)word); }
    void booted()
    {
        for (int i = 0; reg(LINK_REG_CPU_STATE) != LINK_CPU_READY; i++)
            CHECK(i < 400, "the firmware does not boot: state %u, %u resets",
                  reg(LINK_REG_CPU_STATE), reg(LINK_REG_CPU_RESETS));
    }
    void start(uint32_t what, uint32_t argument)
    {
        command_ = ++number_ << 16 | what;
        this->poke(LINK_REG_CPU_ARGUMENT, argument);
        this->poke(LINK_REG_CPU_COMMAND, command_);
    }
    /* How it ended; its answer is in LINK_REG_CPU_ANSWER. */
    uint32_t end()
    {
        for (int i = 0; reg(LINK_REG_CPU_ANSWERED) != command_; i++)
            CHECK(i < 50000, "command %x is not answered: state %u, %u resets", command_,
                  reg(LINK_REG_CPU_STATE), reg(LINK_REG_CPU_RESETS));
        return reg(LINK_REG_CPU_STATUS);
    }
    uint32_t command(uint32_t what, uint32_t argument)
    {
        start(what, argument);
        return end();
    }
    void ping()
    {
        CHECK_EQ(command(LINK_CPU_PING, 0x1234), LINK_CPU_DONE, "status");
        CHECK_EQ(reg(LINK_REG_CPU_ANSWER), 0xFFFFEDCBu, "answer");
    }
    void hold(bool on) { this->poke(LINK_REG_CPU_CONTROL, on); }
    void load(const std::vector<uint32_t> &image)
    {
        for (size_t i = 0; i < image.size(); i++)
            this->poke((uint16_t)(LINK_REG_CPU_RAM + i), image[i]);
    }

  private:
    uint32_t number_ = 0, command_ = 0;
};

inline std::vector<uint32_t> firmware()
{
    std::ifstream in(FIRMWARE);
    std::vector<uint32_t> image;
    std::string word;
    while (in >> word)
        image.push_back((uint32_t)std::stoul(word, nullptr, 16));
    CHECK(image.size() > 100, "no firmware in " FIRMWARE);
    return image;
}

} // namespace tb

#endif
