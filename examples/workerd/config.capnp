using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [
      (name = "worker.js", esModule = embed "dist/worker.js"),
      (name = "relaxed.wasm", wasm = embed "dist/relaxed.wasm"),
      (name = "simd.wasm", wasm = embed "dist/simd.wasm"),
    ],
    compatibilityDate = "2026-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "main")],
);
