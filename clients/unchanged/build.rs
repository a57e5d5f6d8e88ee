//! The gRPC services of the tests, by tonic's own generator: as from a `.proto` file, but that messages are text.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    let echo = Service::builder()
        .name("Echo")
        .package("clients.test")
        .method(method("say", "Say").build())
        .method(method("count", "Count").server_streaming().build())
        .method(method("join", "Join").client_streaming().build())
        .method(
            method("talk", "Talk")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .build();
    let other = Service::builder()
        .name("Other")
        .package("clients.test")
        .method(method("ask", "Ask").build())
        .build();
    Builder::new()
        .build_transport(false)
        .compile(&[echo, other]);
}

fn method(name: &str, route: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type("String")
        .output_type("String")
        .codec_path("crate::proto::TextCodec")
}
