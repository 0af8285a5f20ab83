//! A request's body that can begin anew, as long as little of it was taken.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use crate::bounds::UPSTREAM_H2_REPLAY_MAX;

/// The body, and what was taken of it, up to [`UPSTREAM_H2_REPLAY_MAX`] bytes. Pieces are shared, not copied.
pub(super) struct Replay<B> {
    body: B,
    /// `None`: too much was taken.
    taken: Option<Vec<Piece>>,
    bytes: usize,
    /// Of what was taken, so much is taken again.
    at: usize,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Piece {
    fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(bytes) => Frame::data(bytes),
            Self::Trailers(map) => Frame::trailers(map),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Replay<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, taken: Some(Vec::new()), bytes: 0, at: 0 }
    }

    /// The body from its beginning.
    pub(super) fn rewound(self) -> Option<Self> {
        self.taken.is_some().then_some(Self { at: 0, ..self })
    }

    /// It will not have to begin anew.
    pub(super) fn settle(&mut self) {
        if self.again().is_none() {
            self.taken = None;
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.again().is_none() && self.body.is_end_stream()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(piece) = self.again() {
            let frame = piece.clone().into_frame();
            self.at += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| Some(frame?.map(|frame| self.keep(frame))))
    }

    fn again(&self) -> Option<&Piece> {
        self.taken.as_ref()?.get(self.at)
    }

    fn keep(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let piece = match frame.into_data() {
            Ok(bytes) => Piece::Data(bytes),
            Err(other) => Piece::Trailers(other.into_trailers().unwrap_or_default()),
        };
        self.bytes += match &piece {
            Piece::Data(bytes) => bytes.len().max(1),
            Piece::Trailers(_) => 0,
        };
        if self.bytes > UPSTREAM_H2_REPLAY_MAX {
            self.taken = None;
        }
        if let Some(taken) = &mut self.taken {
            taken.push(piece.clone());
            self.at += 1;
        }
        piece.into_frame()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    type Pieces = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

    fn body(sizes: &[usize]) -> Replay<Pieces> {
        let pieces = sizes.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size]))));
        Replay::new(StreamBody::new(stream::iter(pieces.collect::<Vec<_>>())))
    }

    fn take(body: &mut Replay<Pieces>) -> Option<usize> {
        let polled = body.poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        let Poll::Ready(frame) = polled else { panic!("it has no reason to wait") };
        frame.map(|frame| frame.unwrap().into_data().unwrap().len())
    }

    #[test]
    fn a_small_body_is_the_same_again_however_much_of_it_was_taken() {
        for before in 0..5 {
            let mut body = body(&[3, 0, UPSTREAM_H2_REPLAY_MAX - 4]);
            for _ in 0..before {
                take(&mut body);
            }
            let mut body = body.rewound().unwrap();
            let all: Vec<_> = std::iter::from_fn(|| take(&mut body)).collect();
            assert_eq!(all, [3, 0, UPSTREAM_H2_REPLAY_MAX - 4], "{before}");
        }
    }

    #[test]
    fn a_large_one_is_gone_once_too_much_of_it_was_taken() {
        let mut large = body(&[UPSTREAM_H2_REPLAY_MAX, 1, 7]);
        assert_eq!((take(&mut large), large.taken.is_some()), (Some(UPSTREAM_H2_REPLAY_MAX), true));
        assert_eq!((take(&mut large), large.taken.is_some()), (Some(1), false));
        assert_eq!(take(&mut large), Some(7), "it goes on all the same");
        assert!(large.rewound().is_none());
    }
}
