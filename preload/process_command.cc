// SPDX-License-Identifier: Apache-2.0
#include "preload/process_command.h"

#include <cstring>

#include "agent/base/bytes.h"

namespace remora::shim {
namespace {

// How an interpreter's command line leads to its script. Lists are separated by blanks.
struct Interpreter {
    ByteView name;        // a version may follow: python3.11
    const char* skipped;  // options whose argument is the next word
    const char* naming;   // options whose argument names the program
    const char* inline_;  // options after which there is no script
    const char* letters;  // the same, as letters of a cluster of options: bash -lc
};

constexpr int words_looked_at = 64;
constexpr const char* shell_options = "-o +o -O +O --rcfile --init-file";

const char* base_name(const char* path) noexcept {
    const char* slash = strrchr(path, '/');
    return slash == nullptr ? path : slash + 1;
}

bool is_version(const char* text) noexcept {
    for (; *text != '\0'; ++text)
        if (!ascii_digit(static_cast<uint8_t>(*text)) && *text != '.' && *text != '-') return false;
    return true;
}

bool names(const Interpreter& interpreter, const char* program) noexcept {
    const char* base = base_name(program);
    return strncmp(base, interpreter.name.chars(), interpreter.name.size) == 0 &&
           is_version(base + interpreter.name.size);
}

bool listed(const char* list, const char* word) noexcept {
    const size_t size = strlen(word);
    for (const char* at = strstr(list, word); at != nullptr; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0')) return true;
    return false;
}

// May the word be a program text instead of a file's name? When in doubt, yes: a text may hold
// secrets.
bool announces_text(const Interpreter& interpreter, const char* word) noexcept {
    if (listed(interpreter.inline_, word)) return true;
    return word[0] == '-' && word[1] != '-' && !listed(interpreter.skipped, word) &&
           !listed(interpreter.naming, word) && strpbrk(word, interpreter.letters) != nullptr;
}

// The script among the arguments, or nullptr.
const char* find_script(const Interpreter& interpreter, int count,
                        const char* const* arguments) noexcept {
    for (int i = 1; i < count && i < words_looked_at; ++i) {
        const char* word = arguments[i];
        if (word == nullptr) return nullptr;
        if (word[0] != '-' && word[0] != '+') return word;
        if (word[1] == '\0' || announces_text(interpreter, word)) return nullptr;
        if (strcmp(word, "--") == 0 || listed(interpreter.naming, word))
            return i + 1 < count ? arguments[i + 1] : nullptr;
        if (listed(interpreter.skipped, word)) ++i;
    }
    return nullptr;
}

const char* script_of(int count, const char* const* arguments, const char* executable) noexcept {
    const Interpreter interpreters[] = {
        {"python", "-W -X --check-hash-based-pycs", "-m", "-c", "c"},
        {"pypy", "-W -X", "-m", "-c", "c"},
        {"node", "-r --require --import --loader -C --conditions --title", "", "--eval --print",
         "ep"},
        {"ruby", "-I -r -C -E", "", "-e", "e"},
        {"perl", "-I", "", "-e -E", "eE"},
        {"php", "-d -c -z -S -t", "-f -F", "-r", "r"},
        {"java", "-cp -classpath --class-path -p --module-path --add-modules", "-jar -m --module",
         "", ""},
        {"sh", shell_options, "", "-c", "cs"},
        {"bash", shell_options, "", "-c", "cs"},
        {"dash", shell_options, "", "-c", "cs"},
        {"ash", shell_options, "", "-c", "cs"},
        {"zsh", shell_options, "", "-c", "cs"},
    };
    for (const Interpreter& interpreter : interpreters)
        if (names(interpreter, executable) || names(interpreter, arguments[0]))
            return find_script(interpreter, count, arguments);
    return nullptr;
}

// "module:application", which servers of Python applications are given: the length of the module;
// 0: it is something else. An address has digits behind its colon.
size_t module_size(const char* word) noexcept {
    const char* colon = strchr(word, ':');
    if (colon == nullptr || colon == word || ascii_digit(static_cast<uint8_t>(word[0]))) return 0;
    if (colon[1] == '\0' || ascii_digit(static_cast<uint8_t>(colon[1]))) return 0;
    for (const char* at = word; *at != '\0'; ++at) {
        const uint8_t c = ascii_lower(static_cast<uint8_t>(*at));
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '_' && c != '.' && at != colon)
            return 0;
    }
    return static_cast<size_t>(colon - word);
}

// What a server of applications serves says more than the server's own name: gunicorn shop.web:app.
const char* served_module(const char* server, int count, const char* const* arguments,
                          size_t& size) noexcept {
    if (!listed("gunicorn uvicorn hypercorn daphne granian", server)) return nullptr;
    for (int i = 1; i < count && i < words_looked_at && arguments[i] != nullptr; ++i) {
        size = module_size(arguments[i]);
        if (size > 0) return arguments[i];
    }
    return nullptr;
}

}  // namespace

void describe_command(int argument_count, const char* const* arguments, const char* executable,
                      char* out, size_t capacity) noexcept {
    memset(out, 0, capacity);
    const char* program = argument_count > 0 && arguments != nullptr ? arguments[0] : nullptr;
    if (program == nullptr) return;
    const size_t size = strnlen(program, capacity - 1);
    memcpy(out, program, size);
    const char* script = script_of(argument_count, arguments, executable);
    if (script == nullptr || size + 2 >= capacity) return;
    script = base_name(script);
    if (strpbrk(script, " \t\n;=") != nullptr) return;  // no file's name
    size_t script_size = strlen(script);
    if (const char* module = served_module(script, argument_count, arguments, script_size))
        script = module;
    else
        script_size = strlen(script);
    const size_t room = capacity - size - 2;
    memcpy(out + size + 1, script, script_size < room ? script_size : room);
}

}  // namespace remora::shim
