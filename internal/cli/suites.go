package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// loadSuites reads every file of tests, and reports everything that is wrong with any of them.
func loadSuites(in io.Reader, paths []string) ([]*suite.Suite, error) {
	if slices.Equal(paths, []string{"-"}) {
		data, err := readDefinition(in)
		if err != nil {
			return nil, err
		}
		s, err := suite.Parse("-", data)
		if err != nil {
			return nil, err
		}
		dir, err := workingDir()
		if err != nil {
			return nil, err
		}
		s.SetDir(dir)
		return []*suite.Suite{s}, nil
	}
	files, err := findTests(paths)
	if err != nil {
		return nil, err
	}
	var suites []*suite.Suite
	var errs []error
	for _, file := range files {
		suite, err := loadSuite(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		suites = append(suites, suite)
	}
	return suites, errors.Join(errs...)
}

func toolsUnderTest(s *suite.Suite) ([]*tool.Tool, error) {
	if s.Tool != nil {
		t, err := s.LoadTool()
		return []*tool.Tool{t}, err
	}
	w, err := s.LoadWorkflow()
	if err != nil {
		return nil, err
	}
	return toolsOf(w), nil
}

// loadSuite reads a file of tests.
func loadSuite(file string) (*suite.Suite, error) {
	suite, err := suite.Load(file)
	if err != nil {
		return nil, err
	}
	// The shim, which copies the tool's files, has another working directory.
	dir, err := filepath.Abs(suite.Source.Dir)
	if err != nil {
		return nil, err
	}
	suite.SetDir(dir)
	return suite, nil
}

// validateSuite finds what is wrong with a file of tests and with what it names.
func validateSuite(file string) error {
	suite, err := loadSuite(file)
	if err != nil {
		return err
	}
	return checkSuite(suite)
}

// checkSuite finds what is wrong with what a file of tests names.
func checkSuite(suite *suite.Suite) error {
	var errs []error
	if suite.Tool != nil {
		t, err := suite.LoadTool()
		if err == nil {
			err = t.Runnable()
		}
		errs = append(errs, err)
	} else {
		_, err := suite.LoadWorkflow()
		errs = append(errs, err)
	}
	for i := range suite.Tests {
		if _, err := suite.Complete(&suite.Tests[i], true); err != nil {
			return errors.Join(append(errs, err)...) // the tests after it most likely fail the same way
		}
	}
	return errors.Join(errs...)
}

func workingDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the current folder: %w", err)
	}
	return dir, nil
}
