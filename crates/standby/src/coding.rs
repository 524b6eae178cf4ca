//! `Content-Encoding` of what is sent to the API: the clients of the platform compress.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header};

use crate::answer::Answer;

/// The body as it was before it was compressed, up to `max` bytes.
pub(crate) fn decode(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, Answer> {
    let coding = headers.get(header::CONTENT_ENCODING).map_or(&b"identity"[..], |value| value.as_bytes());
    let limit = max as u64 + 1;
    let mut decoded = Vec::new();
    let read = match coding {
        b"identity" => return Ok(body),
        b"gzip" => MultiGzDecoder::new(&*body).take(limit).read_to_end(&mut decoded),
        b"deflate" => ZlibDecoder::new(&*body).take(limit).read_to_end(&mut decoded),
        _ => {
            let message = "of encodings, gzip and deflate are known here";
            return Err(Answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-content-encoding", message));
        }
    };
    match read {
        Ok(_) if decoded.len() <= max => Ok(decoded.into()),
        Ok(_) => Err(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", "the body is too large")),
        Err(error) => Err(Answer::error(StatusCode::BAD_REQUEST, "invalid-request", &error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_was_compressed_is_read_up_to_its_limit() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&[b'a'; 1000]).unwrap();
        let body = Bytes::from(gzip.finish().unwrap());
        let headers = |coding| HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        assert_eq!(decode(&headers("gzip"), body.clone(), 1000).unwrap().len(), 1000);
        for (coding, max) in [("gzip", 999), ("deflate", 1000), ("br", 1000)] {
            assert!(decode(&headers(coding), body.clone(), max).is_err(), "{coding} {max}");
        }
        assert_eq!(decode(&HeaderMap::new(), body.clone(), 1).unwrap(), body);
    }
}
