//! From frames to bytes. Pure.

use bytes::{BufMut, BytesMut};

use super::{DATA, Frame, HEADER, Offering, Open, Shape};
use crate::bounds::{NAME_MAX, ORIGIN_MAX};

impl Frame {
    /// Appends the frame. The caller has bounded names and payload.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        header(out, 0, self.kind(), self.stream());
        self.payload(out);
        let length = (out.len() - start - HEADER) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn payload(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => {
                out.put_u16(hello.version);
                out.put_u8(hello.lane);
                out.put_slice(&hello.link);
                put_text(out, &hello.name);
            }
            Self::Welcome { version, name, mandate } => {
                out.put_u16(*version);
                put_text(out, name);
                out.put_slice(mandate);
            }
            Self::Refuse(reason) | Self::Reset { reason, .. } => out.put_u8(reason.to_wire()),
            Self::Open { open, .. } => put_open(out, open),
            Self::Opened { opened, .. } => {
                put_text(out, &opened.at);
                out.put_u64(opened.received.to_wire());
            }
            Self::Fin { .. } => {}
            Self::Data { payload, .. } => out.put_slice(payload),
            Self::Credit { bytes, .. } => out.put_u32(*bytes),
            Self::Ping { nonce } | Self::Pong { nonce } => out.put_u64(*nonce),
            Self::Offer(offering) => put_offering(out, offering),
            Self::Accepted { services } => put_names(out, services),
            Self::Standby { term, active } => {
                out.put_u64(*term);
                put_text(out, active);
            }
            Self::Proof(proof) => {
                put_long(out, &proof.certificate);
                put_long(out, &proof.signature);
            }
            Self::Ack { received, .. } => out.put_u64(received.to_wire()),
            Self::Notice { origin, offering } => {
                put_text(out, origin);
                put_offering(out, offering);
            }
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Welcome { .. } => 2,
            Self::Refuse(_) => 3,
            Self::Open { .. } => 4,
            Self::Opened { .. } => 5,
            Self::Data { .. } => DATA,
            Self::Credit { .. } => 7,
            Self::Fin { .. } => 8,
            Self::Reset { .. } => 9,
            Self::Ping { .. } => 10,
            Self::Pong { .. } => 11,
            Self::Offer(_) => 12,
            Self::Accepted { .. } => 13,
            Self::Standby { .. } => 14,
            Self::Proof(_) => 15,
            Self::Ack { .. } => 16,
            Self::Notice { .. } => 17,
        }
    }

    fn stream(&self) -> u32 {
        match self {
            Self::Open { stream, .. }
            | Self::Opened { stream, .. }
            | Self::Data { stream, .. }
            | Self::Credit { stream, .. }
            | Self::Fin { stream }
            | Self::Reset { stream, .. }
            | Self::Ack { stream, .. } => *stream,
            Self::Hello(_)
            | Self::Welcome { .. }
            | Self::Refuse(_)
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Offer(_)
            | Self::Accepted { .. }
            | Self::Standby { .. }
            | Self::Proof(_)
            | Self::Notice { .. } => 0,
        }
    }
}

/// Appends the header of a data frame whose payload the caller sends by itself.
pub fn data_header(out: &mut BytesMut, stream: u32, length: usize) {
    header(out, length as u32, DATA, stream);
}

pub(super) fn header(out: &mut BytesMut, length: u32, kind: u8, stream: u32) {
    out.put_u32(length);
    out.put_u8(kind);
    out.put_u32(stream);
}

fn put_open(out: &mut BytesMut, open: &Open) {
    debug_assert!(open.origin.len() <= ORIGIN_MAX);
    put_text(out, &open.service);
    put_text(out, &open.caller);
    out.put_slice(&open.session);
    match &open.resume {
        None => out.put_u8(0),
        Some(resume) => {
            out.put_u8(1);
            put_text(out, &resume.at);
            out.put_u64(resume.received.to_wire());
            out.put_u32(resume.attempt);
        }
    }
    out.put_u8(match open.shape {
        Shape::Bytes => 0,
        Shape::Datagrams => 1,
    });
    put_long(out, &open.origin);
}

fn put_offering(out: &mut BytesMut, offering: &Offering) {
    out.put_slice(&offering.incarnation);
    out.put_u64(offering.sequence);
    put_names(out, &offering.services);
}

fn put_names(out: &mut BytesMut, names: &[String]) {
    out.put_u8(names.len() as u8);
    names.iter().for_each(|name| put_text(out, name));
}

fn put_text(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= NAME_MAX);
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn put_long(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX));
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}
