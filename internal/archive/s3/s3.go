// Package s3 is an archive in S3-compatible storage. Only mayflyd links it, since its client is large.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/stall"
)

// Bucket is an archive in a bucket. Each object is put by one request, so that it is there as a whole or not at all.
type Bucket struct {
	client *minio.Core
	name   string
	prefix string // empty, or ends with a slash
	where  string // for messages: without credentials
	stall  time.Duration
}

var _ archive.Storage = (*Bucket)(nil)

// Options of a bucket.
type Options struct {
	// Stall is for how long the storage may say nothing, in the middle of an object too; 30 s by default.
	Stall time.Duration
	// Tries is how often a request is sent that the storage fails to answer; 4 by default.
	Tries int
}

const (
	defaultStall = 30 * time.Second
	defaultTries = 4
	// inMemory is how much of an object is kept in memory before it is sent. The rest of a larger one goes to a temporary file.
	inMemory = 1 << 20
	// slowest is the least speed of sending, in bytes a second, beyond which a request is given up.
	slowest = 64 << 10
)

// Open returns the bucket of an address, s3://BUCKET/PREFIX?endpoint=URL&region=REGION, of which only BUCKET is needed. The
// credentials are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or in the file of AWS_SHARED_CREDENTIALS_FILE
// (by default ~/.aws/credentials) for AWS_PROFILE; the region may be in AWS_REGION. It sends nothing; see Check.
func Open(address string, o Options) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, errors.New("the archive's address is not s3://BUCKET/PREFIX?endpoint=URL&region=REGION") // it may have credentials
	}
	if u.User != nil {
		return nil, errors.New("the archive's address has credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
	}
	if err := s3utils.CheckValidBucketNameStrict(u.Host); err != nil {
		return nil, fmt.Errorf("%q in the archive's address is not the name of a bucket: %w", u.Host, err)
	}
	b := &Bucket{name: u.Host, prefix: strings.Trim(u.Path, "/"), stall: cmp.Or(o.Stall, defaultStall)}
	if b.prefix != "" {
		if err := archive.CheckName(b.prefix); err != nil {
			return nil, fmt.Errorf("the archive's prefix: %w", err)
		}
		b.prefix += "/"
	}
	query := u.Query()
	for key := range query {
		if key != "endpoint" && key != "region" {
			return nil, fmt.Errorf("the archive's address has %q; only endpoint and region may follow the ?", key)
		}
	}
	endpoint, err := endpointOf(query.Get("endpoint"))
	if err != nil {
		return nil, err
	}
	options := &minio.Options{
		Creds:     credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}),
		Transport: transport(b.stall), Secure: endpoint.Scheme == "https", MaxRetries: cmp.Or(o.Tries, defaultTries),
		Region: cmp.Or(query.Get("region"), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1"),
	}
	if query.Has("endpoint") {
		options.BucketLookup = minio.BucketLookupPath // other storage rarely has a name for each bucket
	}
	if b.client, err = minio.NewCore(endpoint.Host, options); err != nil {
		return nil, fmt.Errorf("the archive's address: %w", err)
	}
	b.where = "s3://" + b.name + "/" + b.prefix + " at " + endpoint.Host
	return b, nil
}

func endpointOf(text string) (*url.URL, error) {
	if text == "" {
		return &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("the endpoint in the archive's address is not https://HOST:PORT, or http://HOST:PORT without encryption")
	}
	return u, nil
}

func transport(after time.Duration) http.RoundTripper {
	return &stall.Transport{After: after, Err: errStalled, Base: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: min(after, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2: true, MaxIdleConns: 64, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: min(after, 10*time.Second),
		ResponseHeaderTimeout: after, DisableCompression: true, // bytes come as they were put
	}}
}

// Check says whether the bucket can be used.
func (b *Bucket) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*b.stall)
	defer cancel()
	there, err := b.client.BucketExists(ctx, b.name)
	if err == nil && !there {
		err = minio.ErrorResponse{Code: "NoSuchBucket", StatusCode: http.StatusNotFound, Message: "there is no such bucket"}
	}
	return b.failed(ctx, "use", "", err)
}

// failed returns err as an archive.Error with what to do, except for the end of ctx.
func (b *Bucket) failed(ctx context.Context, op, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	if errors.Is(err, errStalled) {
		err = errStalled
	}
	e := &archive.Error{Op: op, Name: name, Where: b.where, Err: err}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		e.Remedy = "check that the storage runs and can be reached from this machine"
		return e
	}
	e.Err = fmt.Errorf("it answers %d %s: %s", r.StatusCode, r.Code, strings.TrimSuffix(r.Message, "."))
	switch {
	case r.Code == "NoSuchBucket":
		e.Remedy = "make the bucket, or correct --archive"
	case r.Code == "NoSuchKey" || r.StatusCode == http.StatusNotFound:
		e.Err = fmt.Errorf("it answers %d %s: %w", r.StatusCode, r.Code, fs.ErrNotExist)
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized:
		e.Remedy = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what this key may do in the bucket (get, put, delete, list)"
	case r.StatusCode == http.StatusMovedPermanently || r.StatusCode == http.StatusTemporaryRedirect || r.Code == "AuthorizationHeaderMalformed":
		e.Remedy = "correct region or endpoint in --archive"
	case r.StatusCode == http.StatusInsufficientStorage:
		e.Remedy = "make room in the storage"
	default:
		e.Remedy = "look at the storage's own log"
	}
	return e
}

func (b *Bucket) key(name string) (string, error) {
	if err := archive.CheckName(name); err != nil {
		return "", err
	}
	return b.prefix + name, nil
}

// Put implements archive.Storage. All of content is read before the first byte is sent, so that what fails to be read is never
// in the bucket, and a request can be repeated.
func (b *Bucket) Put(ctx context.Context, name string, content io.Reader) (err error) {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	in, size, done, err := spool(ctx, content)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	sending, cancel := context.WithTimeout(ctx, 4*b.stall+time.Duration(size/slowest)*time.Second)
	defer cancel()
	_, err = b.client.Client.PutObject(sending, b.name, key, in, size, minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true})
	return b.failed(ctx, "write", name, err)
}

// spool reads all of a content. done removes what it takes.
func spool(ctx context.Context, content io.Reader) (_ io.ReadSeeker, size int64, done func() error, err error) {
	content = untilDone{ctx, content}
	var head bytes.Buffer
	if size, err = io.CopyN(&head, content, inMemory); errors.Is(err, io.EOF) {
		return bytes.NewReader(head.Bytes()), size, func() error { return nil }, nil
	}
	if err != nil {
		return nil, 0, nil, err
	}
	f, err := os.CreateTemp("", "mayfly-archive-")
	if err != nil {
		return nil, 0, nil, err
	}
	done = func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
	size, err = io.Copy(f, io.MultiReader(&head, content))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, done())
	}
	return f, size, done, nil
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context // lives only for one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// Open implements archive.Storage.
func (b *Bucket) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, archive.Object, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, archive.Object{}, err
	}
	if length == 0 {
		// No range has no bytes.
		o, err := b.Stat(ctx, name)
		return io.NopCloser(bytes.NewReader(nil)), o, err
	}
	o := minio.GetObjectOptions{}
	switch {
	case length > 0:
		err = o.SetRange(offset, offset+length-1)
	case offset > 0:
		err = o.SetRange(offset, 0)
	}
	if err != nil {
		return nil, archive.Object{}, err
	}
	body, info, header, err := b.client.GetObject(ctx, b.name, key, o)
	if err != nil {
		return nil, archive.Object{}, b.failed(ctx, "read", name, err)
	}
	fail := func(err error) (io.ReadCloser, archive.Object, error) {
		return nil, archive.Object{}, errors.Join(b.failed(ctx, "read", name, err), body.Close())
	}
	is := objectOf(name, info)
	if is.Size, err = sizeOf(header, info.Size); err != nil {
		return fail(err)
	}
	if _, length, err = archive.Part(is.Size, offset, length); err != nil {
		return fail(err)
	}
	if length != info.Size {
		return fail(fmt.Errorf("it answers with %d bytes, not the %d that were asked for", info.Size, length))
	}
	return &object{body, b, name, ctx, archive.Exact(body, length)}, is, nil
}

// sizeOf returns the size of an object of which a part is read: the number after the slash of Content-Range.
func sizeOf(header http.Header, size int64) (int64, error) {
	text := header.Get("Content-Range")
	if text == "" {
		return size, nil
	}
	var first, last int64
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return 0, fmt.Errorf("it answers with the Content-Range %q", text)
	}
	return size, nil
}

func objectOf(name string, info minio.ObjectInfo) archive.Object {
	return archive.Object{Name: name, Size: info.Size, Modified: info.LastModified}
}

var errStalled = errors.New("it has sent or taken nothing for too long")

// object is a part of an object that is read.
type object struct {
	io.Closer
	b    *Bucket
	name string
	ctx  context.Context // that of the request
	in   io.Reader
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = o.b.failed(o.ctx, "read", o.name, err)
	}
	return n, err
}

// Stat implements archive.Storage.
func (b *Bucket) Stat(ctx context.Context, name string) (archive.Object, error) {
	key, err := b.key(name)
	if err != nil {
		return archive.Object{}, err
	}
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	return objectOf(name, info), b.failed(ctx, "look at", name, err)
}

// Renew implements archive.Storage. It puts the object again, since not all storage counts a copy of an object to itself as new.
func (b *Bucket) Renew(ctx context.Context, name string) error {
	r, _, err := b.Open(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	return errors.Join(b.Put(ctx, name, r), r.Close())
}

// Delete implements archive.Storage.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	err = b.failed(ctx, "delete", name, b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List implements archive.Storage.
func (b *Bucket) List(ctx context.Context, prefix string, take func(archive.Object) error) error {
	listing, cancel := context.WithCancel(ctx)
	defer cancel()
	for info := range b.client.ListObjectsIter(listing, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if info.Err != nil {
			return b.failed(ctx, "list", prefix, info.Err)
		}
		if strings.HasSuffix(info.Key, "/") {
			continue // a folder that another client has made
		}
		if err := take(objectOf(strings.TrimPrefix(info.Key, b.prefix), info)); err != nil {
			return err
		}
	}
	return nil
}
