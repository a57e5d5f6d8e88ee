use tonic::codegen::http::Uri;

use crate::proto::echo_client::EchoClient;

/// Any client that tonic generates: ours takes the place of tonic's `Channel`.
pub fn echo(http: cenote_http::Client, origin: Uri) -> EchoClient<cenote_http::Client> {
    EchoClient::with_origin(http, origin)
}
