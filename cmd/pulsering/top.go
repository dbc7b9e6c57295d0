package main

type topCmd struct{}
