// Package api is the server's API as data: what its clients send and get, in JSON, and the client itself. The server makes the
// OpenAPI document from these types; docs/API.md describes the resources.
//
// A runner's part of the API is here too: what it is given to do ([Assignment]) and what it reports ([Report]).
package api
