// SPDX-License-Identifier: Apache-2.0
#include "preload/rewrite.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::shim {
namespace {

TEST(EditList, KeepsTheOrderOfPositions) {
    EditList edits;
    edits.add(50, 0, "insert", 1, true);
    edits.add(10, 5, {}, 1, false);
    edits.add(30, 7, "value", 1, false);
    edits.add(50, 0, "later", 2, true);
    ASSERT_EQ(edits.count, 4u);
    const size_t expected[] = {10, 30, 50, 50};
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(edits.edits[i].at, expected[i]);
    EXPECT_EQ(edits.edits[2].exchange, 1u) << "of two at one place, the first stays first";
    EXPECT_EQ(edits.edits[3].exchange, 2u);
    EXPECT_EQ(std::string(edits.storage + edits.edits[1].text, edits.edits[1].text_size), "value");
}

TEST(EditList, KnowsByHowMuchItLengthens) {
    EditList edits;
    EXPECT_EQ(edits.delta(), 0);
    edits.add(0, 10, "abc", 1, false);
    EXPECT_EQ(edits.delta(), -7);
    edits.add(20, 0, "0123456789", 1, true);
    EXPECT_EQ(edits.delta(), 3);
}

TEST(EditList, IsFullBeforeItOverflows) {
    EditList edits;
    EXPECT_TRUE(edits.room(EditList::storage_size, EditList::max_edits));
    EXPECT_FALSE(edits.room(EditList::storage_size + 1, 1));
    EXPECT_FALSE(edits.room(1, EditList::max_edits + 1));
    unsigned added = 0;
    for (; edits.room(70, 1); ++added)
        edits.add(added, 0, ByteView{std::string(70, 'x').data(), 70}, 1, true);
    EXPECT_EQ(added, EditList::max_edits);
}

}  // namespace
}  // namespace remora::shim
