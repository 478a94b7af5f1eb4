import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchFunction, DispatchModule, gather } from 'nestjs-dispatch';
import { DispatchServer, DispatchService, EndpointClient, generateKeyPair } from 'nestjs-dispatch/testing';

@Injectable()
class Squares {
  @DispatchFunction()
  async square(n: number): Promise<number> {
    return n * n;
  }

  @DispatchFunction()
  async sum(numbers: number[]): Promise<number> {
    const squares = await gather(numbers.map((n) => this.square(n)));
    return squares.reduce((sum, square) => sum + square, 0);
  }
}

it('runs the functions of an application that has its scheduler elsewhere', async () => {
  const keys = generateKeyPair();
  const service = new DispatchService({ run: (request) => endpoint.run(request) }, { apiKey: 'secret' });
  const server = new DispatchServer(service);
  await server.start();

  const module = await Test.createTestingModule({
    imports: [
      DispatchModule.forRoot({
        apiUrl: server.url, // DISPATCH_API_URL
        apiKey: 'secret', // DISPATCH_API_KEY
        endpointUrl: 'https://squares.example', // DISPATCH_ENDPOINT_URL
        verificationKey: keys.publicKey, // DISPATCH_VERIFICATION_KEY
      }),
    ],
    providers: [Squares],
  }).compile();
  const app = module.createNestApplication();
  await app.init();

  const endpoint = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
  service.start(); // passes one after another, as calls come
  const squares = app.get(Squares);
  expect(await app.get(DispatchClient).of(squares).sum([1, 2, 3]).result()).toBe(14);

  await service.stop();
  await server.stop();
  await app.close();
});
