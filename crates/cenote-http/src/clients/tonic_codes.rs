use cenote_http::Error;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower::util::BoxCloneService;

/// A client whose errors have the codes that `Channel`'s have, for generated clients, with interceptors too.
pub fn with_codes(
    http: cenote_http::Client,
) -> BoxCloneService<Request<Body>, Response<Body>, Status> {
    let with_body = |reply: Response<cenote_http::Body>| {
        reply.map(|body| Body::new(http_body_util::BodyExt::map_err(body, status)))
    };
    let service = ServiceBuilder::new()
        .map_err(status)
        .map_response(with_body)
        .service(http);
    BoxCloneService::new(service)
}

fn status(error: Error) -> Status {
    let code = match &error {
        Error::NoConnection { .. } | Error::Exchange { .. } => Code::Unavailable,
        Error::TimedOut { .. } => Code::DeadlineExceeded,
        _ => Code::Internal,
    };
    Status::new(code, error.to_string())
}
