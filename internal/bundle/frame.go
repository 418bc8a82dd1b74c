package bundle

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// extent is where a frame lies in the bundle.
type extent struct{ at, size int64 }

// Sizes of Zstandard's parts (RFC 8878, 3.1.1).
const (
	blockHeaderSize = 3
	checksumSize    = 4
	blockRLE        = 1
	blockReserved   = 3
	mostBlock       = 128 << 10
)

var errFrame = errors.New("it is no Zstandard frame as a bundle has them")

// frameAt measures the frame at an offset by walking over its blocks; nothing is unpacked.
func frameAt(r io.ReaderAt, at, end int64) (extent, error) {
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := r.ReadAt(head[:min(int64(len(head)), end-at)], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return extent{}, err
	}
	var h zstd.Header
	if err := h.Decode(head[:n]); err != nil || h.Skippable || h.DictionaryID != 0 || h.WindowSize > maxWindow {
		return extent{}, errFrame
	}
	if h.SingleSegment && h.FrameContentSize > maxWindow {
		return extent{}, errFrame
	}
	pos := at + int64(h.HeaderSize)
	for last := false; !last; {
		var b [4]byte
		if _, err := io.ReadFull(io.NewSectionReader(r, pos, end-pos), b[:blockHeaderSize]); err != nil {
			return extent{}, errFrame
		}
		word := binary.LittleEndian.Uint32(b[:])
		last = word&1 == 1
		kind, size := word>>1&3, int64(word>>3)
		if kind == blockReserved || size > mostBlock {
			return extent{}, errFrame
		}
		if kind == blockRLE {
			size = 1
		}
		pos += blockHeaderSize + size
	}
	if h.HasCheckSum {
		pos += checksumSize
	}
	if pos > end {
		return extent{}, errFrame
	}
	return extent{at: at, size: pos - at}, nil
}

// unpack gives the bytes of a frame.
func unpack(r io.ReaderAt, e extent) (io.ReadCloser, error) {
	d, err := zstd.NewReader(io.NewSectionReader(r, e.at, e.size), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxFile+1<<20))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
