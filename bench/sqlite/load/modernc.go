//go:build modernc

package main

import _ "modernc.org/sqlite" // the driver

const driver = "sqlite"
