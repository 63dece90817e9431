#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls that are right, though only just: what they are told and what they do stays the same."""
import os

from process_case import ProcessTestCase, main, target


class Edges(ProcessTestCase):
    def act(self, *arguments):
        result = self.same(target("edge_calls"), *arguments)
        if result.returncode == 77:
            self.skipTest("no IPv6 loopback")
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_select_with_a_count_beyond_its_set(self):
        self.assertEqual(self.act("big_select"), "1\n")

    def test_addresses_that_the_kernel_refuses(self):
        self.act("bad_pointers")

    def test_an_address_that_has_no_room(self):
        self.assertEqual(self.act("short_address"), "1 of 28\n")

    def test_a_number_that_becomes_a_file_unseen(self):
        self.act("reused", os.path.join(self.folder, "file"))

    def test_small_stacks(self):
        self.assertEqual(self.act("small_stacks"), "sent\n")


if __name__ == "__main__":
    main()
