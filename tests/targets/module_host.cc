// SPDX-License-Identifier: Apache-2.0
// Not linked with a TLS library. Asks for /<module>/<n> on a port, by modules in turn:
//
//   module_host PORT COUNT MODULE...     tls_client_module, or copies of it
//   module_host PORT COUNT default       OpenSSL's functions by dlsym(RTLD_DEFAULT), RTLD_GLOBAL
//   module_host PORT COUNT handle        ... by dlsym(handle), RTLD_LOCAL
//
// with cert.pem in the working directory. Prints the answers' bodies, and how many libssl there
// are.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace {

struct Client {
    void* (*open)(int, const char*);
    int (*write)(void*, const char*, int);
    int (*read)(void*, char*, int);
    void* connection;
};

template <class F>
void find(F& function, void* handle, const char* name) {
    function = reinterpret_cast<F>(dlsym(handle, name));
    if (function != nullptr) return;
    fprintf(stderr, "module_host: %s\n", dlerror());
    exit(1);
}

int connect_to(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) exit(1);
    return fd;
}

void* open_module(const char* path, int flags) {
    void* handle = dlopen(path, flags | RTLD_NOW);
    if (handle != nullptr) return handle;
    fprintf(stderr, "module_host: %s\n", dlerror());
    exit(1);
}

// OpenSSL's own functions, each looked up by its name.
void* looked_up_in;
void* open_looked_up(int fd, const char* certificate) {
    void* (*method)();
    void* (*new_context)(void*);
    void* (*new_object)(void*);
    int (*trust)(void*, const char*, const char*);
    int (*set_fd)(void*, int);
    int (*handshake)(void*);
    find(method, looked_up_in, "TLS_client_method");
    find(new_context, looked_up_in, "SSL_CTX_new");
    find(trust, looked_up_in, "SSL_CTX_load_verify_locations");
    find(new_object, looked_up_in, "SSL_new");
    find(set_fd, looked_up_in, "SSL_set_fd");
    find(handshake, looked_up_in, "SSL_connect");
    void* context = new_context(method());
    trust(context, certificate, nullptr);
    void* ssl = new_object(context);
    set_fd(ssl, fd);
    return handshake(ssl) == 1 ? ssl : nullptr;
}

Client make_client(const char* how) {
    Client client{};
    if (strcmp(how, "default") == 0 || strcmp(how, "handle") == 0) {
        const bool by_default = strcmp(how, "default") == 0;
        void* handle = open_module("libssl.so.3", by_default ? RTLD_GLOBAL : RTLD_LOCAL);
        looked_up_in = by_default ? RTLD_DEFAULT : handle;
        client.open = open_looked_up;
        find(client.write, looked_up_in, "SSL_write");
        find(client.read, looked_up_in, "SSL_read");
        return client;
    }
    void* handle = open_module(how, RTLD_LOCAL);
    find(client.open, handle, "module_open");
    find(client.write, handle, "module_write");
    find(client.read, handle, "module_read");
    return client;
}

void ask(Client& client, const std::string& path) {
    const std::string head = "GET " + path + " HTTP/1.1\r\nHost: box\r\n\r\n";
    const int size = static_cast<int>(head.size());
    if (client.write(client.connection, head.data(), size) != size) exit(1);
    std::string answer;
    while (answer.find("\r\n\r\n") == std::string::npos || answer.back() != '\n') {
        char buffer[4096];
        const int n = client.read(client.connection, buffer, sizeof(buffer));
        if (n <= 0) exit(1);
        answer.append(buffer, static_cast<size_t>(n));
    }
    printf("%s", answer.c_str() + answer.find("\r\n\r\n") + 4);
}

size_t count_libraries() {
    std::set<std::string> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find("/libssl") != std::string::npos) found.insert(line.substr(line.find('/')));
    return found.size();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: module_host PORT COUNT MODULE...\n");
        return 2;
    }
    std::vector<Client> clients;
    for (int i = 3; i < argc; ++i) {
        clients.push_back(make_client(argv[i]));
        clients.back().connection = clients.back().open(connect_to(atoi(argv[1])), "cert.pem");
        if (clients.back().connection == nullptr) return 1;
    }
    for (int n = 0; n < atoi(argv[2]); ++n)
        for (size_t i = 0; i < clients.size(); ++i)
            ask(clients[i], "/" + std::to_string(i) + "/" + std::to_string(n));
    printf("%zu libssl\n", count_libraries());
    return 0;
}
