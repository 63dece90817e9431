// SPDX-License-Identifier: Apache-2.0
#include "preload/carriers.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "preload/child_environment.h"
#include "preload/environment.h"
#include "preload/process_state.h"
#include "preload/raw_syscall.h"
#include "preload/session.h"
#include "preload/small_text.h"

namespace remora::shim {
namespace {

constexpr int words_looked_at = 64;
constexpr const char* carriers_folder = "remora-runtimes";  // beside the library; CMakeLists.txt

// A user's empty NODE_OPTIONS is one blank behind ours. In PYTHONPATH an empty part would mean the
// current directory; a slash at the end of ours changes nothing.
const Carrier python{"python", "PYTHONPATH", "", "sitecustomize.py", true, ':', '/'};
const Carrier node{"node", "NODE_OPTIONS", "--require=", "carrier.js", false, ' ', ' '};

const char* base_name(const char* path) noexcept {
    const char* slash = strrchr(path, '/');
    return slash == nullptr ? path : slash + 1;
}

// python, python3, python3.11, and with the letters of its builds for debugging and free threading.
bool is_python(const char* program) noexcept {
    if (strncmp(program, "python", 6) != 0) return false;
    const char* version = program + 6;
    if (*version == '2') return false;
    version += strspn(version, "0123456789.");
    return version[strspn(version, "dt")] == '\0';
}

bool is_node(const char* program) noexcept {
    return strcmp(program, "node") == 0 || strcmp(program, "nodejs") == 0;
}

enum class Letters { go_on, refused, over };

// One word of short options as Python reads it: -I and -E ignore PYTHONPATH, -S does without
// sitecustomize; -c and -m end the options, -W and -X take what follows.
Letters read_letters(const char* letters, bool& takes_next) noexcept {
    for (; *letters != '\0'; ++letters) {
        if (strchr("IES", *letters) != nullptr) return Letters::refused;
        if (*letters == 'c' || *letters == 'm') return Letters::over;
        if (*letters == 'W' || *letters == 'X') {
            takes_next = letters[1] == '\0';
            break;
        }
    }
    return Letters::go_on;
}

bool python_refuses(int count, const char* const* arguments) noexcept {
    for (int i = 1; i < count && i < words_looked_at && arguments[i] != nullptr; ++i) {
        const char* word = arguments[i];
        if (word[0] != '-' || word[1] == '\0') return false;
        if (word[1] == '-') {
            if (strcmp(word, "--check-hash-based-pycs") == 0) ++i;
            continue;
        }
        bool takes_next = false;
        const Letters found = read_letters(word + 1, takes_next);
        if (found != Letters::go_on) return found == Letters::refused;
        if (takes_next) ++i;
    }
    return false;
}

// Under its permission model and under policies node must not read files that the user did not
// name, and a snapshot must hold nothing of ours.
bool restricts_node(const char* text) noexcept {
    const char* const options[] = {"--permission",          "--experimental-permission",
                                   "--experimental-policy", "--policy-integrity",
                                   "--build-snapshot",      "--experimental-sea-config"};
    for (const char* option : options)
        if (strstr(text, option) != nullptr) return true;
    return false;
}

bool node_refuses(int count, const char* const* arguments, const char* users) noexcept {
    if (users != nullptr && restricts_node(users)) return true;
    for (int i = 1; i < count && i < words_looked_at && arguments[i] != nullptr; ++i)
        if (arguments[i][0] == '-' && restricts_node(arguments[i])) return true;
    return false;
}

// REMORA_CARRIERS: names with commas; "none", or none that we know: no carrier.
bool switched_on(const char* list, const char* name) noexcept {
    if (list == nullptr || *list == '\0') return true;
    const ByteView wanted{name, strlen(name)};
    for (const char* at = list;; ++at) {
        const size_t size = strcspn(at, ",");
        if (equal_ignoring_case(trim_blanks(ByteView{at, size}), wanted)) return true;
        at += size;
        if (*at == '\0') return false;
    }
}

const char* lookup(const char* const* environment, const char* name) noexcept {
    if (environment == nullptr) return nullptr;
    const ByteView wanted{name, strlen(name)};
    for (; *environment != nullptr; ++environment)
        if (const char* value = value_of(*environment, wanted)) return value;
    return nullptr;
}

bool readable(const char* path) noexcept {
    const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return false;
    raw_syscall(SYS_close, fd);
    return true;
}

// Hands the program an environment that is its own but for one entry. A mapping of ours, as libc's
// own setenv would allocate; the old list and its texts stay where they are.
void replace_entry(const Carrier& carrier, const char* folder, const char* users) noexcept {
    const size_t count = count_entries(environ);
    const size_t list_size = (count + 2) * sizeof(char*);
    const size_t text_size = 2 * PATH_MAX + (users == nullptr ? 0 : strlen(users));
    const size_t size = list_size + text_size;
    const long address =
        raw_syscall(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address < 0 && address >= -4095) return;
    auto** entries = reinterpret_cast<char**>(address);
    char* entry = reinterpret_cast<char*>(address) + list_size;
    if (!write_carrier_entry(carrier, folder, users, entry, text_size)) {
        raw_syscall(SYS_munmap, address, size);
        return;
    }
    const ByteView name{carrier.variable, strlen(carrier.variable)};
    bool placed = false;
    for (size_t i = 0; i < count; ++i) {
        const bool replaced = !placed && value_of(environ[i], name) != nullptr;
        entries[i] = replaced ? entry : environ[i];
        placed = placed || replaced;
    }
    if (!placed) entries[count] = entry;
    environ = entries;
}

}  // namespace

const Carrier* choose_carrier(int argument_count, const char* const* arguments,
                              const char* executable, const char* const* environment) noexcept {
    const char* program = base_name(executable);
    const char* list = lookup(environment, "REMORA_CARRIERS");
    if (is_python(program))
        return switched_on(list, python.name) && !python_refuses(argument_count, arguments)
                   ? &python
                   : nullptr;
    if (is_node(program))
        return switched_on(list, node.name) &&
                       !node_refuses(argument_count, arguments, lookup(environment, node.variable))
                   ? &node
                   : nullptr;
    return nullptr;
}

bool write_carrier_entry(const Carrier& carrier, const char* folder, const char* users, char* out,
                         size_t capacity) noexcept {
    SmallText<PATH_MAX> ours;
    ours.add(carrier.prefix).add(folder).add("/").add(carrier.name);
    if (!carrier.names_folder) ours.add("/").add(carrier.file);
    if (ours.cut()) return false;
    const ByteView text = ours.view();
    const size_t name_size = strlen(carrier.variable);
    const size_t users_size = users == nullptr ? 0 : strlen(users);
    if (name_size + 1 + text.size + 1 + users_size + 1 > capacity) return false;
    if (users_size >= text.size && memcmp(users, text.data, text.size) == 0) return false;
    memcpy(out, carrier.variable, name_size);
    out += name_size;
    *out++ = '=';
    memcpy(out, text.data, text.size);
    out += text.size;
    if (users_size > 0) {
        *out++ = carrier.separator;
        memcpy(out, users, users_size);
        out += users_size;
    } else if (users != nullptr) {
        *out++ = carrier.if_empty;
    }
    *out = '\0';
    return true;
}

void start_carrier(int argument_count, const char* const* arguments) noexcept {
    const char* library = library_path();
    if (library[0] != '/' || !tracing()) return;
    // Nobody is to be told anything: a header that is handed on would be a peer's.
    if ((switches() & REMORA_SWITCH_NO_PROPAGATION) != 0) return;
    const Carrier* carrier =
        choose_carrier(argument_count, arguments, process_record().executable, environ);
    if (carrier == nullptr) return;
    SmallText<PATH_MAX> folder, file;
    folder.add(ByteView{library, static_cast<size_t>(base_name(library) - library)});
    folder.add(carriers_folder);
    file.add(folder.view()).add("/").add(carrier->name).add("/").add(carrier->file);
    if (folder.cut() || file.cut() || !readable(file.text())) return;
    replace_entry(*carrier, folder.text(), lookup(environ, carrier->variable));
}

}  // namespace remora::shim
