// SPDX-License-Identifier: Apache-2.0
// JDK server and clients: java Service.java PORT DOWNSTREAM_PORT CLIENT
// CLIENT: url (HttpURLConnection), http (java.net.http.HttpClient), handed (another pool calls)
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

public class Service {
    static String downstream;
    static String kind;
    static final HttpClient client =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final ExecutorService pool = Executors.newFixedThreadPool(16);

    static byte[] call(String path) throws Exception {
        URI uri = URI.create(downstream + path);
        if (kind.equals("http")) {
            return client.send(HttpRequest.newBuilder(uri).build(),
                               HttpResponse.BodyHandlers.ofByteArray()).body();
        }
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        try (InputStream in = connection.getInputStream()) {
            return in.readAllBytes();
        }
    }

    static void handle(HttpExchange exchange) throws IOException {
        try {
            String path = exchange.getRequestURI().getPath();
            byte[] body = exchange.getRequestBody().readAllBytes();
            if (path.startsWith("/call/")) {
                String down = path.replace("call", "down");
                body = kind.equals("handed") ? pool.submit(() -> call(down)).get() : call(down);
            }
            exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
        } catch (Exception error) {
            error.printStackTrace();
            exchange.sendResponseHeaders(500, -1);
        }
        exchange.close();
    }

    public static void main(String[] arguments) throws Exception {
        downstream = "http://127.0.0.1:" + arguments[1];
        kind = arguments[2];
        HttpServer server =
            HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 512);
        server.createContext("/", Service::handle);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.start();
    }
}
