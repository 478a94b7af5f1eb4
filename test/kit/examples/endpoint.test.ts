import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchFunction, DispatchModule, PermissionDeniedError, Status } from 'nestjs-dispatch';
import { EndpointClient, generateKeyPair, pack, unpack } from 'nestjs-dispatch/testing';

@Injectable()
class Greeter {
  @DispatchFunction()
  async greet(name: string): Promise<string> {
    return `Hello, ${name}!`;
  }
}

const greetAda = { function: 'Greeter.greet', directive: { case: 'input' as const, value: pack('Ada') } };

it('runs a function for a scheduler that signs its requests, and for no other', async () => {
  const keys = generateKeyPair();
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot({ verificationKey: keys.publicKey })],
    providers: [Greeter],
  }).compile();
  const app = module.createNestApplication();

  const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey }); // or fromUrl('http://localhost:3000', …)
  const { status, directive } = await client.run(greetAda);
  expect(status).toBe(Status.OK);
  expect(directive.case === 'exit' && unpack(directive.value.result?.output)).toBe('Hello, Ada!');

  const stranger = EndpointClient.fromApp(app, { signingKey: generateKeyPair().privateKey });
  await expect(stranger.run(greetAda)).rejects.toThrow(PermissionDeniedError);
  await app.close();
});
