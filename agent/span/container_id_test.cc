// SPDX-License-Identifier: Apache-2.0
// Lines as engines make them.
#include "agent/span/container_id.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

const std::string id = "dc579f8a8319c8cf7d38e1adf263bc08d23b9c38e1adf263bc08d230600179b5";
const std::string other = "7be92808767a667f35c8505cbf40d14e931ef6db5b0210329cf193b15ba9d605";

std::string of_group(const std::string& path) {
    return container_id("4:memory:" + path + "\n", "");
}

TEST(ContainerId, FromControlGroups) {
    for (const std::string& path : {
             "/docker/" + id,
             "/system.slice/docker-" + id + ".scope",
             "/system.slice/containerd.service/kubepods-burstable-pod12:cri-containerd:" + id,
             "/kubepods/besteffort/pod2d3da189_6407_48e3_9ab6_78188d75e609/" + id,
             "/kubepods.slice/kubepods-besteffort.slice/"
             "kubepods-besteffort-pod2c48913c_b29f_11e7_9350_020968147796.slice/"
             "cri-containerd-" +
                 id + ".scope",
             "/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope",
             "/machine.slice/libpod-" + id + ".scope/container",
             "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope",
             "/docker/" + other + "/docker/" + id,
             "/lxc/box/docker/" + id + "/init.scope",
         })
        EXPECT_EQ(of_group(path), id) << path;
    EXPECT_EQ(container_id("0::/system.slice/docker-" + id + ".scope\n", ""), id);
    EXPECT_EQ(container_id("1:name=systemd:/\n0::/docker/" + id + "\n", ""), id);
    EXPECT_EQ(of_group("/ecs/shop/447438d8540d42ff84e0f66a36c1a7ba/"
                       "447438d8540d42ff84e0f66a36c1a7ba-3163418931"),
              "447438d8540d42ff84e0f66a36c1a7ba-3163418931");
}

TEST(ContainerId, OfNoContainer) {
    for (const std::string& path :
         {std::string("/"), std::string("/user.slice/user-1000.slice/session-3.scope"),
          std::string("/system.slice/nginx.service"), "/docker/" + id + "0", "/docker/z" + id,
          "/docker/" + id.substr(1), std::string("/ecs/a/447438d8540d42ff84e0f66a36c1a7ba-"),
          std::string("/x/447438d8540d42ff84e0f66a36c1a7ba-3163418931")})
        EXPECT_EQ(of_group(path), "") << path;
    EXPECT_EQ(container_id("", ""), "");
    EXPECT_EQ(container_id("garbage\n:\n::\n4:\n", "a b\n1 2 3\n"), "");
}

TEST(ContainerId, FromMountsWhereTheGroupIsHidden) {
    const std::string docker =
        "608 607 0:183 / /proc rw - proc proc rw\n"
        "620 607 254:1 /docker/volumes/" +
        other +
        "/_data /data rw - ext4 /dev/vda1 rw\n"
        "621 607 254:1 /docker/containers/" +
        id + "/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw\n";
    EXPECT_EQ(container_id("0::/\n", docker), id);
    const std::string podman =
        "1031 1023 0:24 /containers/overlay-containers/" + id +
        "/userdata/hostname /etc/hostname rw,nosuid - tmpfs tmpfs rw,size=813112k\n";
    EXPECT_EQ(container_id("0::/\n", podman), id);
    const std::string host = "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n";
    EXPECT_EQ(container_id("0::/\n", host), "");
}

TEST(ContainerId, ASandboxIsNotTheContainer) {
    const std::string pod =
        "1492 1473 259:1 /var/lib/kubelet/pods/ab/etc-hosts /etc/hosts rw - ext4 /dev/x rw\n"
        "1493 1473 259:1 /var/lib/containers/storage/overlay-containers/" +
        other + "/userdata/hostname /etc/hostname rw - ext4 /dev/x rw\n";
    EXPECT_EQ(container_id("0::/\n", pod), "");
    const std::string sandbox =
        "1493 1473 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/" + other +
        "/hostname /etc/hostname rw - ext4 /dev/x rw\n";
    EXPECT_EQ(container_id("0::/\n", sandbox), "");
}

}  // namespace
}  // namespace remora
